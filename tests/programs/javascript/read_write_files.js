const fs = require('fs');
const path = require('path');

const folder = path.join(process.cwd(), 'notes');
fs.mkdirSync(folder, { recursive: true });
const users = [
  { name: 'Ana', age: 31 },
  { name: 'Jürgen', age: 45 },
];
fs.writeFileSync(path.join(folder, 'users.json'), JSON.stringify(users, null, 2));
fs.appendFileSync(path.join(folder, 'log.txt'), 'first line\n');
fs.appendFileSync(path.join(folder, 'log.txt'), 'second line\n');

const loaded = JSON.parse(fs.readFileSync(path.join(folder, 'users.json'), 'utf8'));
console.log(loaded.map((user) => user.name).join(' & '));
console.log(fs.readdirSync(folder).sort());
console.log('lines:', fs.readFileSync(path.join(folder, 'log.txt'), 'utf8').trim().split('\n').length);

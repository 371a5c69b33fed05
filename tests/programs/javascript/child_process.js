const { execSync, spawn } = require('child_process');

console.log(execSync('echo from a shell').toString().trim());
const child = spawn('sh', ['-c', 'cat; exit 3'], { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdout.on('data', (data) => console.log('child:', data.toString().trim()));
child.stdin.end('through a pipe\n');
const code = await new Promise((resolve) => child.on('close', resolve));
console.log('exit code', code);

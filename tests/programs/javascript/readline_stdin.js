const readline = require('readline');

const rl = readline.createInterface({ input: process.stdin });
let sum = 0;
let lines = 0;
for await (const line of rl) {
  lines += 1;
  sum += Number(line) || 0;
}
console.log(`${lines} lines, sum ${sum}`);

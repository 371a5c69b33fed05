// Fibonacci with memoisation
const memo = new Map();

function fib(n) {
  if (n < 2) return BigInt(n);
  if (memo.has(n)) return memo.get(n);
  const value = fib(n - 1) + fib(n - 2);
  memo.set(n, value);
  return value;
}

for (const n of [10, 50, 100]) {
  console.log(`fib(${n}) = ${fib(n)}`);
}

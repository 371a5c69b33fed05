const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function* numbers(limit) {
  for (let i = 1; i <= limit; i++) {
    await sleep(5);
    yield i;
  }
}

async function main() {
  const seen = [];
  for await (const n of numbers(5)) seen.push(n ** 2);
  console.log('squares:', seen);

  const settled = await Promise.allSettled([sleep(1).then(() => 'ok'), Promise.reject(new Error('broken'))]);
  console.log(settled.map((each) => each.status).join(', '));

  const fastest = await Promise.race([sleep(500).then(() => 'slow'), sleep(5).then(() => 'fast')]);
  console.log('winner:', fastest);
}

await main();

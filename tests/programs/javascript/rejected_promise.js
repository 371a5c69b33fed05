async function load(name) {
  if (name.endsWith('.missing')) {
    throw new Error(`cannot load ${name}`);
  }
  return `contents of ${name}`;
}

console.log(await load('a.txt'));
console.log(await load('b.missing'));

const inventory = [
  { sku: 'A1', stock: 4 },
  { sku: 'B2', stock: 0 },
];
console.table(inventory);
console.log({ nested: { list: [1, [2, [3]]], map: new Map([['k', 1]]), set: new Set([1, 2]) } });
console.error('this goes to stderr');
console.log('%s has %d items', 'basket', 3);
console.log(new Date(0).toISOString(), [1, 2, 3], null, undefined);
({ last: 'value', ok: true })

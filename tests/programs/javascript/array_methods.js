const orders = [
  { id: 1, customer: 'Ana', total: 120.5, items: ['pen', 'book'] },
  { id: 2, customer: 'Bo', total: 40, items: ['lamp'] },
  { id: 3, customer: 'Ana', total: 79.5, items: ['desk', 'pen'] },
];

const byCustomer = orders.reduce((groups, order) => {
  (groups[order.customer] ??= []).push(order);
  return groups;
}, {});

for (const [customer, list] of Object.entries(byCustomer)) {
  const total = list.reduce((sum, { total }) => sum + total, 0);
  console.log(`${customer.padEnd(5)}|${total.toFixed(2).padStart(8)}`);
}
console.log([...new Set(orders.flatMap((order) => order.items))].sort());
console.log(orders.some((order) => order.total > 100), orders.every((order) => order.total > 100));
console.log(orders.at(-1)?.items?.[0], orders.at(9)?.items ?? 'none');

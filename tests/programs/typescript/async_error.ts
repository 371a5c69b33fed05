interface User {
  id: number;
  name: string;
}

const users: Partial<Record<number, User>> = { 1: { id: 1, name: 'Ana' } };

async function find(id: number): Promise<User> {
  const user: User | undefined = users[id];
  if (!user) throw new RangeError(`no user ${id}`);
  return user;
}

const first: User = await find(1);
console.log(first.name satisfies string);
await find(2);

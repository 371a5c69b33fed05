type Key = string | number;

class Cache<K extends Key, V> {
  private entries = new Map<K, V>();
  private readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  get(key: K, make: (key: K) => V): V {
    const found = this.entries.get(key);
    if (found !== undefined) return found;
    const value = make(key);
    this.entries.set(key, value);
    if (this.entries.size > this.limit) {
      const oldest = this.entries.keys().next().value as K;
      this.entries.delete(oldest);
    }
    return value;
  }

  get size(): number {
    return this.entries.size;
  }
}

const lengths = new Cache<string, number>(2);
let made = 0;
for (const word of ['one', 'two', 'one', 'three', 'one'] as const) {
  console.log(word, lengths.get(word, (key) => ((made += 1), key.length)));
}
console.log('made', made, 'kept', lengths.size);

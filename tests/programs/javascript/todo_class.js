class TodoList {
  #items = [];

  add(title, { priority = 'normal' } = {}) {
    this.#items.push({ id: this.#items.length + 1, title, priority, done: false });
    return this;
  }

  complete(id) {
    const item = this.#items.find((each) => each.id === id);
    if (!item) throw new RangeError(`there is no item ${id}`);
    item.done = true;
    return this;
  }

  get open() {
    return this.#items.filter((each) => !each.done);
  }

  *[Symbol.iterator]() {
    yield* this.#items;
  }
}

const list = new TodoList().add('Buy milk').add('Write tests', { priority: 'high' }).complete(1);
for (const { title, priority, done } of list) {
  console.log(`${done ? '[x]' : '[ ]'} ${title} (${priority})`);
}
console.log('open:', list.open.length);
try {
  list.complete(99);
} catch (error) {
  console.log(`${error.name}: ${error.message}`);
}

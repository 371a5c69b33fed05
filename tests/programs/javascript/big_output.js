for (let i = 0; i < 60000; i++) {
  console.log(`row ${String(i).padStart(5, '0')}: ${'='.repeat(40)}`);
}
console.log('the end');

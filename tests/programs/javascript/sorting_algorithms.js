function mergeSort(list) {
  if (list.length < 2) return list;
  const middle = list.length >> 1;
  const [left, right] = [mergeSort(list.slice(0, middle)), mergeSort(list.slice(middle))];
  const merged = [];
  while (left.length && right.length) merged.push(left[0] <= right[0] ? left.shift() : right.shift());
  return [...merged, ...left, ...right];
}

const quickSort = ([pivot, ...rest]) =>
  pivot === undefined
    ? []
    : [...quickSort(rest.filter((x) => x < pivot)), pivot, ...quickSort(rest.filter((x) => x >= pivot))];

let seed = 7;
const random = () => (seed = (seed * 16807) % 2147483647);
const numbers = Array.from({ length: 2000 }, random);
const expected = [...numbers].sort((a, b) => a - b);
const same = (a, b) => a.every((value, index) => value === b[index]);
console.log('merge sort:', same(mergeSort(numbers), expected));
console.log('quick sort:', same(quickSort(numbers), expected));

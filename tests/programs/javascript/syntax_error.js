const greeting = 'hello';
function shout(text {
  return text.toUpperCase();
}
console.log(shout(greeting));

const heading = document.createElement('h1');
heading.textContent = 'Made by a script';
document.body.append(heading);

for (const name of ['red', 'green', 'blue']) {
  const box = document.createElement('div');
  box.style.cssText = `width: 60px; height: 60px; background: ${name}`;
  box.addEventListener('click', () => console.log('clicked', name));
  document.body.append(box);
}
console.log('children:', document.body.children.length);

function fullName(user) {
  return user.name.first + ' ' + user.name.last;
}

console.log(fullName({ name: { first: 'Grace', last: 'Hopper' } }));
console.log(fullName({}));

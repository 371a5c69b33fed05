class ValidationError extends Error {
  constructor(field, message) {
    super(`${field}: ${message}`);
    this.name = 'ValidationError';
    this.field = field;
  }
}

function validate({ email }) {
  if (!/^\S+@\S+$/.test(email)) throw new ValidationError('email', 'is not an address');
  return true;
}

console.log(validate({ email: 'ana@example.org' }));
validate({ email: 'nobody' });

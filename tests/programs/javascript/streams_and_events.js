import { EventEmitter, once } from 'node:events';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createHash } from 'node:crypto';

const bus = new EventEmitter();
setTimeout(() => bus.emit('ready', 42), 10);
const [value] = await once(bus, 'ready');
console.log('ready with', value);

const upper = new Transform({
  transform(chunk, _encoding, done) {
    done(null, chunk.toString().toUpperCase());
  },
});
const pieces = [];
upper.on('data', (chunk) => pieces.push(chunk.toString()));
await pipeline(Readable.from(['a', 'b', 'c']), upper);
console.log(pieces.join('-'));
console.log(createHash('sha256').update('abc').digest('hex').slice(0, 16));

"use strict";
// What goes to the kernel: packets of a socket that keeps their borders, each written whole or not at all, since an
// interrupt may end this code between any two of its steps. A packet: kind, whether more follows, cell (4 bytes), bytes.

const { writeSync } = require("fs");

const STDOUT = 1;
const STDERR = 2;
const MESSAGE = 3;
const HEAD = 6;
const LARGEST = 32 << 10;

class Channel {
  constructor(fd) {
    this.fd = fd;
    this.buffer = Buffer.allocUnsafeSlow(HEAD + LARGEST);
  }

  text(kind, cell, text) {
    // Three bytes are the most that one of its units takes.
    if (text.length * 3 <= LARGEST) {
      const packet = this.buffer;
      const size = packet.utf8Write(text, HEAD, LARGEST);
      this.write(packet, kind, 0, cell, size);
    } else this.bytes(kind, cell, Buffer.from(text));
  }

  bytes(kind, cell, bytes) {
    for (let at = 0; at < bytes.length; at += LARGEST) {
      const size = Math.min(LARGEST, bytes.length - at);
      const packet = Buffer.allocUnsafe(HEAD + size);
      bytes.copy(packet, HEAD, at, at + size);
      this.write(packet, kind, at + size < bytes.length ? 1 : 0, cell, size);
    }
  }

  message(cell, message) {
    this.bytes(MESSAGE, cell, Buffer.from(JSON.stringify(message, wellFormed)));
  }

  write(packet, kind, more, cell, size) {
    packet[0] = kind;
    packet[1] = more;
    packet.writeUInt32LE(cell, 2);
    writeSync(this.fd, packet, 0, HEAD + size);
  }
}

function wellFormed(_, value) {
  return typeof value === "string" ? value.toWellFormed() : value;
}

module.exports = { Channel, STDOUT, STDERR };

"use strict";
// The program in which cells run. `fds`: where messages go out and come in, where answers come, where interrupts come.

const { closeSync, readSync } = require("fs");
const { Socket } = require("net");
const { Worker } = require("worker_threads");
const { Channel, STDOUT, STDERR } = require("./channel.js");
const { Cells, Interrupted } = require("./cells.js");
const display = require("./display.js");
const errors = require("./errors.js");
const loading = require("./loading.js");
const streams = require("./streams.js");
const users = require("./users.js");
const { Requiring } = require("./requiring.js");

const MOST_AHEAD = 64 << 10;

module.exports = function main(fds, watcher) {
  closeSync(fds.agent);
  // Those of this program are for no other, which `fork` would give them to.
  process.execArgv = [];
  const channel = new Channel(fds.out);
  const tell = (cell, message) => channel.message(cell, message);
  // Of errors that node itself writes about.
  for (const each of [Error, users.Error]) {
    Object.defineProperty(each, "prepareStackTrace", { value: errors.prepare, writable: true, configurable: true });
    each.stackTraceLimit = 30;
  }
  loading.install();
  const requiring = new Requiring();
  const cells = new Cells(tell, requiring);
  const say = (name, text) => text && channel.text(name === "stderr" ? STDERR : STDOUT, cells.check().number, text);
  const input = new Input(fds, channel, cells);
  streams.install(say, input);
  const show = (op, data, metadata, id, update) => tell(cells.check().number, { op, data, metadata, id, update });
  input.offer();
  inOrder(input);
  world.display = display.make(show);
  follow(cells, channel);
  // Where V8 says why it gave up.
  Object.assign(process.report, { directory: "/proc/self/fd", filename: String(fds.report), reportOnFatalError: true });
  Object.assign(process.report, { compact: true, excludeNetwork: true, excludeEnv: true });
  const { emitWarning } = process;
  process.emitWarning = (warning, ...rest) => {
    const type = typeof rest[0] === "object" ? rest[0]?.type : rest[0];
    if (type !== "ExperimentalWarning") emitWarning.call(process, warning, ...rest);
  };

  const worker = new Worker(watcher, { eval: true, workerData: fds.control, execArgv: [], env: {}, stdin: false });
  worker.on("message", (word) => {
    if (word === "settled") {
      cells.settled();
      tell(0, { op: "settled" });
    } else {
      cells.interrupt(...word);
      worker.postMessage("at rest");
    }
  });
  worker.on("error", () => process.kill(process.pid, "SIGKILL"));

  const complete = () => require("./complete.js");
  const does = {
    run(request) {
      input.begin(request);
      if (process.listenerCount("SIGINT") === 0) process.on("SIGINT", () => {});
      // Not from within the socket's own code, which an interrupt would tear; nor from a promise's, so that the order of
      // ticks, promises and timers is that of a program.
      cells.timers.real.setImmediate(() => cells.run(request));
    },
    claim({ variables, cwd }) {
      Object.assign(process.env, variables);
      if (cwd) process.chdir(cwd);
      requiring.stand(process.cwd());
      useProxy();
    },
    answer: ({ id, value, error }) => input.answered(id, value, error),
    complete: (request) => reply(request, complete().complete(cells, request.code, request.at)),
    inspect: (request) => reply(request, complete().inspect(cells, request.code, request.at)),
    isComplete: (request) => reply(request, complete().isComplete(request.code)),
  };
  const reply = (request, answer) => tell(0, { op: "reply", id: request.id, answer });

  let pending = [];
  const commands = new Socket({ fd: fds.in });
  commands.on("data", (chunk) => {
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10)) {
      pending.push(chunk.subarray(0, end));
      chunk = chunk.subarray(end + 1);
      const request = JSON.parse(Buffer.concat(pending).toString());
      pending = [];
      does[request.op](request);
    }
    if (chunk.length) pending.push(chunk);
  });
  commands.on("close", () => process.kill(process.pid, "SIGKILL"));
  commands.on("error", () => {});
  // Not before node has put back what it had called `module`.
  cells.timers.real.setImmediate(() => {
    requiring.stand(process.cwd());
    useProxy();
    tell(0, { op: "hello", version: process.version });
  });
};

function isOurs(stream) {
  return stream === "inherit" || stream === 1 || stream === 2 || stream === process.stdout || stream === process.stderr;
}

// Programs write past this one: what was said before they begin is to be on its way before.
function inOrder(input) {
  const programs = require("child_process");
  const wrap = (owner, name) => {
    const start = owner[name];
    owner[name] = function (...given) {
      if (given.some((each) => [each?.stdio].flat().some(isOurs))) input.settle();
      return Reflect.apply(start, this, given);
    };
  };
  for (const name of ["spawnSync", "execSync", "execFileSync"]) wrap(programs, name);
  const { spawn } = programs.ChildProcess.prototype;
  programs.ChildProcess.prototype.spawn = function (options) {
    if ([options?.stdio].flat().some(isOurs)) input.settle();
    return Reflect.apply(spawn, this, [options]);
  };
  require("module").syncBuiltinESMExports();
}

// The way out of a session, for `fetch` and `http`, where node can be told of it.
function useProxy() {
  if (process.env.HTTPS_PROXY) require("http").setGlobalProxyFromEnv?.();
}

// Ends and errors of the whole program, which are those of a cell.
function follow(cells, channel) {
  const told = (name) => (error) => {
    if (process.listenerCount(name) > 1) return;
    cells.uncaught(error, (cell, text) => channel.text(STDERR, cell.number, text));
  };
  process.on("uncaughtException", told("uncaughtException"));
  process.on("unhandledRejection", told("unhandledRejection"));
  process.on("SIGINT", () => {});
  process.exit = process.reallyExit = (code) => cells.leave(code);
}

// What cells read.
class Input {
  constructor(fds, channel, cells) {
    Object.assign(this, { fds, channel, cells, given: true, may: false, stream: undefined, count: 0 });
    this.timers = cells.timers.real;
    cells.timers.reads = () => Boolean(this.stream?.reads && this.stream.waited);
    this.waiting = new Map();
  }

  begin({ given, may }) {
    Object.assign(this, { given, may, read: Buffer.alloc(0) });
    // One that nobody listens to is forgotten: each cell reads from its own beginning.
    if (this.stream) this.stream = undefined;
    for (const { reject } of this.waiting.values()) reject(new Interrupted("the cell is over"));
    this.waiting.clear();
  }

  offer() {
    world.prompt = (message = "", otherwise = null) => this.now(String(message), false) ?? otherwise;
    world.input = (message = "", { password = false } = {}) => users.promise(this.answer(String(message), password));
  }

  refuse() {
    const error = new users.Error("nobody is asked: the cell was run without stdin");
    error.name = "StdinNotImplementedError";
    return error;
  }

  // A question was put, and there is no more to read.
  lost() {
    const ended = new users.Error("standard input came to its end before the question was answered");
    ended.name = "EOFError";
    const error = this.given ? ended : this.refuse();
    this.cells.uncaught(error, () => {});
  }

  async answer(message, password) {
    if (this.given) return this.line(message);
    if (!this.may) throw this.refuse();
    const id = ++this.count;
    this.channel.message(this.cells.check().number, { op: "ask", id, prompt: message, password });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  answered(id, value, error) {
    const { resolve, reject } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (error) reject?.(this.refuse());
    else resolve?.(value);
  }

  // The answer to a question while nothing else happens.
  now(message, password) {
    if (this.given) return this.line(message);
    if (!this.may) throw this.refuse();
    this.channel.message(this.cells.check().number, { op: "ask", now: true, prompt: message, password });
    const told = JSON.parse(readLine(this.fds.answers));
    if (told.interrupted) throw new Interrupted("the cell was stopped");
    if (told.error) throw this.refuse();
    return told.value;
  }

  // Returns when all that was said has its place.
  settle() {
    this.channel.message(0, { op: "settle" });
    readLine(this.fds.answers);
  }

  // Of the text that came with the cell; null at its end.
  line(message) {
    if (message) process.stdout.write(message);
    return this.read.length ? this.ahead(true)?.toString().replace(/\r?\n$/, "") : readLine(0);
  }

  // Of that text, for a stream: a line with its end, or much; null at the end.
  ahead(line) {
    let end;
    while (!this.read.length || (line && (end = this.read.indexOf(10)) < 0)) {
      const more = Buffer.alloc(MOST_AHEAD);
      const size = readSync(0, more, 0, MOST_AHEAD, null);
      if (!size) break;
      this.read = Buffer.concat([this.read, more.subarray(0, size)]);
    }
    const given = this.read.subarray(0, line && end >= 0 ? end + 1 : this.read.length);
    this.read = this.read.subarray(given.length);
    return given.length ? given : null;
  }
}

function readLine(fd) {
  const one = Buffer.alloc(1);
  const bytes = [];
  while (readSync(fd, one, 0, 1, null) === 1 && one[0] !== 10) bytes.push(one[0]);
  if (!bytes.length && one[0] !== 10) return null;
  return Buffer.from(bytes).toString().replace(/\r$/, "");
}

"use strict";
// A thread beside the one in which cells run: what ends a cell that lets nothing else run.

const { Session } = require("inspector");
const { Socket } = require("net");
const { workerData, parentPort } = require("worker_threads");

const ANSWERS_MS = 15;
const PATIENCE_MS = 100;

const session = new Session();
session.connectToMainThread();
let asked = false;
let breaking = false;
let doomed;

function tryToBreak() {
  if (!asked || breaking) return;
  breaking = true;
  session.post("Runtime.terminateExecution", () => {
    breaking = false;
    if (!asked) return parentPort.postMessage("settled");
    // What was ended may have been the answer itself: a thread at rest can be slow to come to it.
    parentPort.postMessage(doomed);
    setTimeout(tryToBreak, PATIENCE_MS);
  });
}

parentPort.on("message", () => {
  // The other thread is at rest, and does nothing before it hears that nothing is on its way any more.
  asked = false;
  if (!breaking) parentPort.postMessage("settled");
});

const control = new Socket({ fd: workerData });
control.on("data", (runs) => {
  // Numbers of runs and of their cells, each with a line of its own: the last is what is to end.
  doomed = String(runs).trim().split("\n").at(-1).split(" ").map(Number);
  if (!asked) {
    asked = true;
    setTimeout(tryToBreak, ANSWERS_MS);
  }
  parentPort.postMessage(doomed);
});
// Whoever drives this is gone.
control.on("close", () => process.kill(process.pid, "SIGKILL"));
control.on("error", () => {});

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

function tryToBreak() {
  if (!asked || breaking) return;
  breaking = true;
  session.post("Runtime.terminateExecution", () => {
    breaking = false;
    if (asked) setTimeout(tryToBreak, PATIENCE_MS);
    else parentPort.postMessage("settled");
  });
}

parentPort.on("message", () => {
  // The other thread is at rest, and does nothing before it hears that nothing is on its way any more.
  asked = false;
  if (!breaking) parentPort.postMessage("settled");
});

const control = new Socket({ fd: workerData });
control.on("data", () => {
  if (!asked) {
    asked = true;
    setTimeout(tryToBreak, ANSWERS_MS);
  }
  parentPort.postMessage("interrupt");
});
// Whoever drives this is gone.
control.on("close", () => process.kill(process.pid, "SIGKILL"));
control.on("error", () => {});

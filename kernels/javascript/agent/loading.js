"use strict";
// Files of TypeScript as cells are: all that node can transform, not only what it can strip; found without their ending.

const Module = require("module");
const { existsSync, readFileSync } = require("fs");
const { fileURLToPath } = require("url");
const typescript = require("./typescript.js");
const errors = require("./errors.js");

const FILE = /^file:.*\.[cm]?ts$/;
const LIBRARY = /\/node_modules\//;
const ENDINGS = [".ts", ".mts", ".cts", "/index.ts"];
const MODULE = /^\s*(?:import\b(?!\s*\()|export\b)/m;

function load(url, context, next) {
  if (!FILE.test(url) || LIBRARY.test(url)) return next(url, context);
  let found;
  try {
    found = next(url, context);
    typescript.stripAlone(String(found.source ?? readFileSync(fileURLToPath(url))));
    return found;
  } catch (error) {
    if (error?.code !== typescript.UNSUPPORTED) throw error;
  }
  const source = readFileSync(fileURLToPath(url), "utf8");
  const { code, map } = typescript.strip(source);
  if (map) errors.remember(fileURLToPath(url), map);
  const seen = MODULE.test(source) && !/\.cts$/.test(url) ? "module" : "commonjs";
  const format = /^(?:module|commonjs)/.exec(found?.format ?? "")?.[0] ?? seen;
  return { format, source: code, shortCircuit: true };
}

function resolve(specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    const { parentURL } = context;
    if (!/^\.{1,2}\//.test(specifier) || !parentURL?.startsWith("file:") || LIBRARY.test(parentURL)) throw error;
    const ending = ENDINGS.find((each) => existsSync(new world.URL(specifier + each, parentURL)));
    if (!ending) throw error;
    return next(specifier + ending, context);
  }
}

// Node 22 has no way for it before 22.15.
function install() {
  Module.registerHooks?.({ load, resolve });
}

module.exports = { install };

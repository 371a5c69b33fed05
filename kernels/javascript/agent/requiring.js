"use strict";
// `require`, `import`, `module` and what else a file would have, for cells: as if each stood in the workspace.

const Module = require("module");
const path = require("path");
const vm = require("vm");
const { pathToFileURL } = require("url");
const errors = require("./errors.js");
const names = require("./modules.js");
const users = require("./users.js");

const NOT_FOUND = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

function importer(file) {
  errors.hidden.add(file);
  const options = { filename: file, importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER };
  return new vm.Script("(source, options) => import(source, options)", options).runInThisContext();
}

function isBare(source) {
  return typeof source === "string" && !/^(?:\.{0,2}\/|[a-z]+:)/.test(source);
}

class Requiring {
  constructor() {
    this.lenient = false;
    this.hide(names.IMPORT, (source, options) => users.promise(this.import(source, options)));
    this.hide(names.PICK, (module, wanted, source) => this.pick(module, wanted, source));
  }

  hide(name, value) {
    Object.defineProperty(world, name, { value, configurable: true, writable: true });
  }

  // Where cells stand from now on.
  stand(folder) {
    const file = path.join(folder, "cell.js");
    const module = new Module(file, null);
    Object.assign(module, { filename: file, paths: Module._nodeModulePaths(folder), loaded: true });
    process.mainModule = module;
    process.argv[1] = file;
    const require = Module.createRequire(file);
    require.main = module;
    module.require = require;
    const shared = this.folders();
    this.share(shared);
    this.importers = [file, ...shared.map((each) => path.join(path.dirname(each), "cell.js"))].map(importer);
    const own = { module, exports: module.exports, require, __filename: file, __dirname: folder };
    for (const [name, value] of Object.entries(own)) this.hide(name, value);
    const url = pathToFileURL(file).href;
    const resolve = (source) => (Module.isBuiltin(source) ? `node:${source.replace(/^node:/, "")}` : pathToFileURL(require.resolve(source)).href);
    this.hide(names.META, { url, filename: file, dirname: folder, main: true, resolve });
  }

  // For `require`; node looks at the variable when it is told to.
  share(folders) {
    const { NODE_PATH: before } = process.env;
    process.env.NODE_PATH = folders.join(":");
    Module._initPaths();
    if (before === undefined) delete process.env.NODE_PATH;
    else process.env.NODE_PATH = before;
  }

  // Where `npm install --global` puts packages, and NODE_PATH.
  folders() {
    const { npm_config_prefix: prefix, NODE_PATH: given = "" } = process.env;
    const found = [...given.split(":"), prefix ? `${prefix}/lib/node_modules` : ""];
    return [...new Set(found.filter((each) => path.isAbsolute(each)))];
  }

  async import(source, options) {
    let first;
    for (const each of isBare(source) ? this.importers : this.importers.slice(0, 1)) {
      try {
        return await each(source, options);
      } catch (error) {
        first ??= error;
        if (!NOT_FOUND.has(error?.code)) throw error;
      }
    }
    throw first;
  }

  // What `import {name}` takes; of CommonJS also what node cannot see in its text.
  pick(module, wanted, source) {
    const picked = {};
    for (const name of wanted) {
      if (name in module) picked[name] = module[name];
      else if (Object(module.default) === module.default && name in module.default) picked[name] = module.default[name];
      // TypeScript may name a type.
      else if (!this.lenient) {
        throw new users.SyntaxError(`The requested module '${source}' does not provide an export named '${name}'`);
      }
    }
    return picked;
  }
}

module.exports = { Requiring };

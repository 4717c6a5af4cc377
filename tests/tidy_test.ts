/**
 * The rules of the house, applied to the whole tree, and the proof that each of them can fail.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test as register } from "./harness.ts";
import {
  checkConfig,
  checkGlobals,
  checkGraph,
  checkImports,
  checkLength,
  checkPackages,
  checkSyntax,
  checkText,
  type DenoConfig,
  type Ratchet,
} from "./tidy/rules.ts";
import { readSource, type Source } from "./tidy/source.ts";

/** What is longer than the limits allow. Entries may only shrink or go. */
const RATCHET: Ratchet = {};

const root = new URL("../", import.meta.url);
const skip = "Deno" in globalThis && existsSync(new URL("deno.json", root))
  ? undefined
  : "needs Deno and the source tree";

function test(name: string, body: () => void): void {
  register(`tidy: ${name}`, body, { skip });
}

/** The files that somebody wrote, relative to the repository. */
function listFiles(folder = ""): string[] {
  return readdirSync(new URL(folder, root), { withFileTypes: true }).flatMap((item) => {
    const path = folder + item.name;
    if (/^(\.git|npm|coverage)$|node_modules$|^tests\/vectors$/.test(path)) return [];
    return item.isDirectory() ? listFiles(path + "/") : [path];
  }).filter((path) => !/\.(lock|tgz)$|package-lock\.json$|LICENSE$/.test(path));
}

const read = (path: string) => readFileSync(new URL(path, root), "utf8");
const config: DenoConfig = skip === undefined
  ? JSON.parse(read("deno.json"))
  : { exports: {}, imports: {}, tasks: {} };
const paths = skip === undefined ? listFiles() : [];
const parsed: Source[] = [];

/** All TypeScript of the tree; the parser works only inside of a test, hence not at once. */
function sources(): readonly Source[] {
  if (parsed.length === 0) {
    for (const path of paths) if (path.endsWith(".ts")) parsed.push(readSource(path, read(path)));
  }
  return parsed;
}

function assertNone(complaints: readonly string[]): void {
  assert.equal(complaints.length, 0, `\n${complaints.join("\n")}`);
}

test("imports go down the order of layers and name known packages", () => {
  const packages = [...Object.keys(config.imports), "@hypha/hypha"];
  assertNone(sources().flatMap((source) => checkImports(source, packages)));
});

test("only host files name the platform, time or chance", () => {
  assertNone(sources().flatMap(checkGlobals));
});

test("all syntax survives type stripping", () => {
  assertNone(sources().flatMap(checkSyntax));
});

test("files and functions are short", () => {
  assertNone(sources().flatMap((source) => checkLength(source, RATCHET)));
});

test("every ratchet entry is still needed", () => {
  const needless = Object.keys(RATCHET).filter((what) => {
    const { [what]: _one, ...others } = RATCHET;
    return sources().every((source) => checkLength(source, others).length === 0);
  });
  assertNone(needless);
});

test("every file has a header, fits the screen, names no machine and leaves no work", () => {
  assertNone(paths.flatMap((path) => checkText(path, read(path))));
});

test("every source file is reached from an entry point, and none imports itself in a circle", () => {
  assertNone(checkGraph(sources(), Object.values(config.exports).map((path) => path.slice(2))));
});

test("deno.json fits the tree", () => {
  assertNone(checkConfig(config, paths));
});

test("packages are pinned, and no lock names a host", () => {
  const reference = "tests/interop/reference/";
  const files = [`${reference}package.json`, `${reference}package-lock.json`, "deno.lock"];
  assertNone(files.flatMap((path) => checkPackages(path, read(path))));
});

/** Shows that `check` finds exactly one thing in `text`, which is on `line` if given. */
function assertFinds(pattern: RegExp, complaints: readonly string[]): void {
  assert.equal(complaints.length, 1, complaints.join("\n"));
  assert.match(complaints[0]!, pattern);
}

test("an import from above or from beside is found, whatever its form", () => {
  for (
    const statement of [
      `import { x } from "../core/runtime/virtual.ts";`,
      `import type { X } from "../core/runtime/virtual.ts";`,
      `export * from "../core/runtime/virtual.ts";`,
      `type X = import("../core/runtime/virtual.ts").X;`,
      `const x = await import("../core/runtime/virtual.ts");`,
    ]
  ) assertFinds(/^encoding\/a\.ts:2: /, checkImports(readSource("encoding/a.ts", `\n${statement}`), []));
  const beside = readSource(
    "transports/udx/a.ts",
    `import "../memory/network.ts"; import "../transport.ts"; import "./b.ts";`,
  );
  assertFinds(/transports\/memory\/network\.ts/, checkImports(beside, []));
  const below = readSource(
    "core/mod.ts",
    `export * from "./runtime/virtual.ts"; export * from "../encoding/mod.ts";`,
  );
  assertNone(checkImports(below, []));
  assertFinds(/no layer/, checkImports(readSource("elsewhere/a.ts", ""), []));
});

test("a package that deno.json does not pin is found, and so is a platform module", () => {
  const check = (statement: string) =>
    checkImports(readSource("encoding/a.ts", statement), ["@noble/ciphers"]);
  assertNone(check(`import { chacha20 } from "@noble/ciphers/chacha.js";`));
  for (const specifier of ["npm:left-pad@1.0.0", "jsr:@std/assert", "left-pad", "node:fs"]) {
    assertFinds(/outside of a host file|not in the imports/, check(`import "${specifier}";`));
  }
  assertFinds(/computed/, check("await import(name);"));
});

test("a banned global is found in any guise, and a local name like it is not", () => {
  const check = (text: string) => checkGlobals(readSource("core/log/a.ts", text));
  for (
    const text of [
      "Date.now();",
      "new Date();",
      "Math.random();",
      "AbortSignal.timeout(5);",
      "globalThis.crypto;",
      "type T = ReturnType<typeof setTimeout>;",
      "const o = { console };",
      "function f(a = performance) {}",
    ]
  ) assert.ok(check(text).length >= 1, text);
  for (
    const text of [
      "function f(crypto: C) { crypto.hash(); }",
      "this.crypto.hash(); runtime.crypto; ({ Date: 1 }).Date;",
      "interface R { readonly crypto: C; now(performance: number): void }",
      "const { crypto } = runtime; () => crypto;",
      "// Date.now()",
      "new Date(0) instanceof Date;",
    ]
  ) assertNone(check(text));
  assert.ok(
    check("{ const crypto = 1; } crypto.subtle;").length === 1,
    "a binding hides a global only in its own block",
  );
  assertNone(checkGlobals(readSource("core/runtime/system.ts", "Date.now();")));
});

test("syntax that needs a compiler is found", () => {
  for (const text of ["enum E { A }", "class A { constructor(readonly x = 1) {} }", "{ using x = y; }"]) {
    assert.equal(checkSyntax(readSource("tests/a.ts", text)).length, 1, text);
  }
});

test("what is too long is found, unless the ratchet knows it", () => {
  const long = (lines: number) => `function f() {${"\n".repeat(lines - 1)}}\n`;
  assertNone(checkLength(readSource("core/a.ts", long(70)), {}));
  assertFinds(/f has 71 lines/, checkLength(readSource("core/a.ts", long(71)), {}));
  assertNone(checkLength(readSource("core/a.ts", long(71)), { "core/a.ts#f": 71 }));
  assertNone(checkLength(readSource("core/a.ts", "\n".repeat(450)), {}));
  assertFinds(/too many lines/, checkLength(readSource("core/a.ts", "\n".repeat(451)), {}));
  assertFinds(/too many lines/, checkLength(readSource("core/a.ts", "\n".repeat(461)), { "core/a.ts": 460 }));
});

test("unfinished, unexplained, machine-bound and too wide text is found", () => {
  const check = (body: string) => checkText("core/a.ts", `/** What it is. */\n${body}\n`);
  assertNone(check("const a = 1; // https://example.com/home/page, ../../work/x, a/tmp/b"));
  assertFinds(/header|comment/, checkText("core/a.ts", "const a = 1;\n"));
  assertFinds(/a\.ts:2: leaves work/, check("// TO" + "DO: later"));
  assertFinds(/one machine/, check(`const a = "/ho${"me"}/somebody/x";`));
  assertFinds(/white space/, check("const a = 1; "));
  assertFinds(/columns/, check("// " + "x".repeat(132)));
});

test("a file that nothing reaches and a circle of imports are found", () => {
  const a = readSource("core/a.ts", `import "./b.ts";`);
  const b = readSource("core/b.ts", `import "./a.ts";`);
  const typesOnly = readSource("core/b.ts", `import type { A } from "./a.ts";`);
  assertFinds(/core\/a\.ts -> core\/b\.ts -> core\/a\.ts/, checkGraph([a, b], ["core/a.ts"]));
  assertNone(checkGraph([a, typesOnly], ["core/a.ts"]));
  assertFinds(
    /core\/a\.ts:1: is reached from no entry/,
    checkGraph([a, readSource("core/b.ts", "")], ["core/b.ts"]),
  );
});

test("an exports table, a task or a version that does not fit is found", () => {
  const good: DenoConfig = {
    exports: { ".": "./mod.ts" },
    imports: { "@noble/ciphers": "npm:@noble/ciphers@2.4.0" },
    tasks: { doc: "deno doc --lint mod.ts", demo: "deno run -A cli/demo.ts" },
  };
  const files = ["mod.ts", "cli/demo.ts"];
  assertNone(checkConfig(good, files));
  assertFinds(/does not export core\/mod\.ts/, checkConfig(good, [...files, "core/mod.ts"]));
  assertFinds(/names cli\/demo\.ts/, checkConfig(good, ["mod.ts"]));
  assertFinds(/twice/, checkConfig({ ...good, exports: { ".": "./mod.ts", "./again": "./mod.ts" } }, files));
  assertFinds(/the task doc does not check mod\.ts/, checkConfig({ ...good, tasks: {} }, files));
  assertFinds(/pinned/, checkConfig({ ...good, imports: { a: "npm:a@^1.0.0" } }, files));
  assertFinds(/host/, checkPackages("deno.lock", `{ "tarball": "somewhere" }`));
  assertFinds(/a is not pinned/, checkPackages("package.json", `{ "dependencies": { "a": "^1.0.0" } }`));
});

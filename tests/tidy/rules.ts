/**
 * The rules of the house as functions from sources to complaints: `path:line: what is wrong and what to do`.
 */
import type { Source } from "./source.ts";

/**
 * The order of layers: a file imports from its own entry and from earlier ones. A folder takes in its subfolders, a `*` only the
 * files right there; entries of one line stand side by side and do not see each other.
 */
const LAYERS: readonly (readonly string[])[] = [
  ["encoding/"],
  ["core/runtime/"],
  ["core/crypto/"],
  ["core/stream/"],
  ["core/storage/"],
  ["core/log/"],
  ["core/replication/"],
  ["core/*"],
  ["transports/*"],
  ["transports/udp/", "transports/udx/", "transports/tcp/", "transports/mdns/", "transports/memory/"],
  ["dht/rpc/"],
  ["dht/punch/"],
  ["dht/*"],
  ["swarm/"],
  ["mod.ts"],
  ["cli/"],
  ["examples/"],
  ["scripts/"],
  ["tests/"],
];

/** Where the outside world comes in: only here may the platform be named. */
const HOST_FILES = [
  "core/runtime/system.ts",
  "core/crypto/provider_host.ts",
  "core/stream/node_duplex.ts",
  "core/storage/host_folder.ts",
  "core/storage/sqlite.ts",
  "core/storage/v10/random_access.ts",
  "core/storage/rocksdb/folder.ts",
  "transports/udp/deno.ts",
  "transports/interfaces.ts",
  "transports/udp/node.ts",
  "transports/tcp/tcp_transport.ts",
  "cli/",
  "examples/",
  "scripts/",
  "tests/",
];

/** Time, chance, scheduling, output and platform, each of which has an interface instead. */
const BANNED_GLOBALS = new Set([
  ..."Date.now Date() performance setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate"
    .split(
      " ",
    ),
  ..."queueMicrotask crypto console alert prompt confirm fetch Deno process Buffer globalThis".split(" "),
  "Math.random",
  "AbortSignal.timeout",
]);

/** Widest line. The formatter keeps code to 110; this is for what it leaves alone, comments and long strings. */
const MAX_COLUMNS = 132;
/** What cannot be broken into lines: addresses and long hexadecimal values. */
const UNBREAKABLE = /https?:\/\/|[0-9a-f]{64}/;
/** Longest file that is no list of tests, in lines. */
const MAX_FILE_LINES = 450;
/** Longest function outside of tests, in lines. */
const MAX_FUNCTION_LINES = 70;

/** Files and functions that were longer when the limit came, with the length that they may not exceed. */
export interface Ratchet {
  /** `path` or `path#function` to lines. */
  readonly [what: string]: number;
}

function isUnder(path: string, entry: string): boolean {
  if (entry.endsWith("/")) return path.startsWith(entry);
  if (entry.endsWith("*")) {
    return path.startsWith(entry.slice(0, -1)) && !path.slice(entry.length - 1).includes("/");
  }
  return path === entry;
}

const isHostFile = (path: string) => HOST_FILES.some((entry) => isUnder(path, entry));
/** Whether users of the package get the file. */
const isProduct = (path: string) => !/^(tests|scripts|examples|cli)\//.test(path);

/** The place of `path` in the order of layers: rank, then entry. */
function layerOf(path: string): { rank: number; entry: string } | undefined {
  for (const [rank, entries] of LAYERS.entries()) {
    const entry = entries.find((entry) => isUnder(path, entry));
    if (entry !== undefined) return { rank, entry };
  }
  return undefined;
}

/** The path of what `path` imports as `specifier`, both relative to the repository; undefined for packages. */
export function resolveImport(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

/** Imports go down the order of layers, and name packages only as deno.json knows them. */
export function checkImports({ path, imports }: Source, packages: readonly string[]): string[] {
  const from = layerOf(path);
  if (from === undefined) return [`${path}:1: belongs to no layer: give its folder a place in LAYERS`];
  const complaints: string[] = [];
  for (const { text, line } of imports) {
    const complain = (what: string) => complaints.push(`${path}:${line}: ${what}`);
    const target = resolveImport(path, text);
    if (target !== undefined) {
      const to = layerOf(target);
      if (to === undefined) complain(`imports ${target}, which belongs to no layer`);
      else if (to.entry !== from.entry && to.rank >= from.rank) {
        complain(`imports ${target} from a layer that is not below`);
      }
    } else if (text === "?" || text.startsWith("node:")) {
      if (!isHostFile(path)) {
        complain(`imports ${text === "?" ? "a computed name" : text} outside of a host file`);
      }
    } else if (isProduct(path) && !packages.some((name) => text === name || text.startsWith(name + "/"))) {
      complain(`imports ${text}, which is not in the imports of deno.json`);
    }
  }
  return complaints;
}

/** Only host files name the platform. */
export function checkGlobals({ path, globals }: Source): string[] {
  if (isHostFile(path)) return [];
  const banned = globals.filter(({ text }) => BANNED_GLOBALS.has(text));
  return banned.map(({ text, line }) => `${path}:${line}: uses the global ${text}: take it from the Runtime`);
}

/** Whether Node gets the file: the product as it is compiled, which leaves `using` alone, the tests merely stripped of types. */
const runsOnNode = (path: string) =>
  isProduct(path) || (path.startsWith("tests/") && !/^tests\/(interop|cli)\//.test(path));

/** What Node gets is understood by the oldest one that is supported. */
export function checkSyntax({ path, foreign }: Source): string[] {
  const wrong = foreign.filter(({ text }) =>
    runsOnNode(path) && (!isProduct(path) || text.includes("using"))
  );
  return wrong.map(({ text, line }) =>
    `${path}:${line}: ${text} does not survive type stripping or is unknown to Node 22`
  );
}

/** Files and functions are short. */
export function checkLength({ path, text, functions }: Source, ratchet: Ratchet): string[] {
  const lines = text.split("\n").length - 1;
  const complaints: string[] = [];
  if (!path.endsWith("_test.ts") && lines > (ratchet[path] ?? MAX_FILE_LINES)) {
    complaints.push(`${path}:${lines}: has too many lines: look for a second idea`);
  }
  if (path.startsWith("tests/")) return complaints;
  for (const { text: name, line, lines } of functions) {
    if (lines <= (ratchet[`${path}#${name}`] ?? MAX_FUNCTION_LINES)) continue;
    complaints.push(`${path}:${line}: ${name} has ${lines} lines: look for a second idea`);
  }
  return complaints;
}

/** What is legible, portable and finished. Also for files that are no TypeScript. */
export function checkText(path: string, text: string): string[] {
  const complaints: string[] = [];
  const header = text.replace(/^#!.*\n/, "");
  if (/(?<!_test)\.(ts|mjs)$/.test(path) && !/^\/(\*\*|\/ )/.test(header)) {
    complaints.push(`${path}:1: does not begin with a comment that says what it is`);
  }
  const patterns: [RegExp, string][] = [
    [/\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/, "leaves work for later: do it or leave it out"],
    [/(?<![\w.\]})/-])\/(home|root|Users|work|opt|tmp)\/\w/, "names a path of one machine"],
    [/[^\S\n]$/, "ends in white space"],
  ];
  for (const [index, line] of text.split("\n").entries()) {
    for (const [pattern, what] of patterns) {
      if (pattern.test(line)) complaints.push(`${path}:${index + 1}: ${what}`);
    }
    if (line.length > MAX_COLUMNS && !UNBREAKABLE.test(line) && !/\.(md|json)$/.test(path)) {
      complaints.push(`${path}:${index + 1}: has ${line.length} columns, ${MAX_COLUMNS} are the most`);
    }
  }
  return complaints;
}

/** Every file of the product is reached from an entry point, and no files import each other in a circle. */
export function checkGraph(sources: readonly Source[], entries: readonly string[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const targets = ({ path, imports }: Source, types: boolean) =>
    imports.filter((one) => types || !one.typeOnly).flatMap((one) =>
      byPath.get(resolveImport(path, one.text) ?? "") ?? []
    );
  const complaints: string[] = [];

  const reached = new Set<Source>();
  const pending = entries.flatMap((entry) => byPath.get(entry) ?? []);
  for (let source = pending.pop(); source !== undefined; source = pending.pop()) {
    if (reached.has(source)) continue;
    reached.add(source);
    pending.push(...targets(source, true));
  }
  for (const source of sources) {
    if (isProduct(source.path) && !reached.has(source)) {
      complaints.push(`${source.path}:1: is reached from no entry point`);
    }
  }

  const finished = new Set<Source>();
  const walk = (source: Source, trail: readonly Source[]) => {
    if (trail.includes(source)) {
      const circle = [...trail.slice(trail.indexOf(source)), source].map(({ path }) => path);
      complaints.push(`${source.path}:1: imports itself: ${circle.join(" -> ")}`);
    } else if (!finished.has(source)) {
      for (const target of targets(source, false)) walk(target, [...trail, source]);
      finished.add(source);
    }
  };
  for (const source of sources) walk(source, []);
  return complaints;
}

/** The parts of deno.json that the rules read. */
export interface DenoConfig {
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
  readonly tasks: Readonly<Record<string, string>>;
}

/** The exports table, the pinned packages and the tasks of deno.json fit the tree, whose files are `paths`. */
export function checkConfig(config: DenoConfig, paths: readonly string[]): string[] {
  const complaints: string[] = [];
  const complain = (what: string) => complaints.push(`deno.json:1: ${what}`);
  const entries = Object.values(config.exports).map((path) => path.replace(/^\.\//, ""));
  for (const entry of entries) {
    if (!paths.includes(entry)) complain(`exports ${entry}, which does not exist`);
    if (!config.tasks["doc"]?.split(" ").includes(entry)) complain(`the task doc does not check ${entry}`);
  }
  for (const [index, entry] of entries.entries()) {
    if (entries.indexOf(entry) !== index) complain(`exports ${entry} twice`);
  }
  for (const path of paths.filter(isProduct)) {
    if (/(^|\/)(mod|testing)\.ts$/.test(path) && !entries.includes(path)) complain(`does not export ${path}`);
  }
  for (const [name, target] of Object.entries(config.imports)) {
    if (!/^npm:@?[^@]+@\d+\.\d+\.\d+$/.test(target)) {
      complain(`${name} is not pinned to an exact version of an npm package`);
    }
  }
  for (const [name, command] of Object.entries(config.tasks)) {
    for (const [file] of command.matchAll(/(?<=\s)[\w/]+\.ts\b/g)) {
      if (!paths.includes(file)) complain(`the task ${name} names ${file}, which does not exist`);
    }
  }
  return complaints;
}

/** A lock or manifest of packages is exact and names no host. */
export function checkPackages(path: string, text: string): string[] {
  const complaints: string[] = [];
  if (/https?:\/\/|"(resolved|tarball)":/.test(text)) {
    complaints.push(`${path}:1: names the host that packages came from`);
  }
  if (!path.endsWith("package.json")) return complaints;
  for (const [name, version] of Object.entries<string>(JSON.parse(text).dependencies ?? {})) {
    // A second version of a package goes by another name: `npm:hyperdht@6.32.0`.
    if (!/^(npm:@?[^@]+@)?\d+\.\d+\.\d+$/.test(version)) {
      complaints.push(`${path}:1: ${name} is not pinned to an exact version`);
    }
  }
  return complaints;
}

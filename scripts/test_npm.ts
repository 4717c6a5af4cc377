/**
 * Proves a built npm package: installs the tarball into an empty folder, type-checks a program that imports every entry point,
 * runs the test suite against the installed files under Node, and has logs there talk to those of the reference and of Deno.
 */
import { dirname, join, relative, resolve } from "node:path";
import { run, tryRun } from "./run.ts";

/** What checks the types of the installed package: the last TypeScript that is written in JavaScript. */
const TYPESCRIPT = "6.0.3";
/** The types of Node, which an adapter to its streams mentions. */
const NODE_TYPES = "22.20.5";

/** What of `tests/` drives Deno itself, needs the packages of the reference, or tries what the package does not hold. */
const LEFT_OUT = ["interop", "netns", "examples", "cli", "spec", "tidy", "tidy_test.ts"];

/**
 * Whole networks and disks that are simulated: what happens there is the same on all runtimes, which {@linkcode COMPARED_WORLDS}
 * shows, and it takes long. With `HYPHA_LONG=1` they run under Node too.
 */
const SIMULATED = [
  "dht/flood_test.ts",
  "dht/rpc/hostile_test.ts",
  "dht/rpc/network_test.ts",
  "dht/rpc/query_test.ts",
  "sim/punch_test.ts",
  "sim/scenarios_test.ts",
  "storage/crash_test.ts",
  "storage/v10/crash_test.ts",
  "swarm/dht_test.ts",
  "swarm/lifecycle_test.ts",
];

/** What of `tests/interop/` makes hypha on Node a peer that tests on Deno drive. */
const PEER_FILES = ["our_log_peer.ts", "our_logs.ts", "our_log.ts", "stream_peer.ts"];

/** Tests on Deno that drive it. */
const PEER_TESTS = ["log_node_test.ts", "log_node_deno_test.ts", "log_node_crowd_test.ts"];

/** What is to be proven, and where. */
export interface PackageUnderTest {
  /** Its name on npm. */
  readonly name: string;
  /** The keys of its exports table. */
  readonly entries: readonly string[];
  /** The absolute path of the tarball. */
  readonly tarball: string;
  /** The repository. */
  readonly root: string;
  /** The version of Node to run the suite on. */
  readonly node: string;
  /** An empty or missing folder to work in. */
  readonly folder: string;
}

/** Whether the package passes; says on the console what was found. */
export function testPackage(subject: PackageUnderTest): boolean {
  installPackage(subject);
  checkTypes(subject);
  copyTests(subject);
  copyPeer(subject);
  const outcomes = [runSuite(subject), runPeerTests(subject)];
  const sum = (what: "passed" | "failed") => outcomes.reduce((all, one) => all + one[what], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
  return outcomes.every(({ success }) => success);
}

/** What came of some tests. */
interface Tested {
  readonly success: boolean;
  readonly passed: number;
  readonly failed: number;
}

/** Installs the tarball, the wanted Node and TypeScript into the folder. */
export function installPackage({ tarball, node, folder }: PackageUnderTest): void {
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(join(folder, "package.json"), `{ "private": true, "type": "module" }\n`);
  const packages = [tarball, `node@${node}`, `typescript@${TYPESCRIPT}`, `@types/node@${NODE_TYPES}`];
  run("npm", ["install", "--silent", "--no-audit", "--no-fund", ...packages], { cwd: folder });
}

/** @throws {Error} with the compiler's words, if a strict consumer cannot compile against the declarations. */
function checkTypes({ name, entries, root, folder }: PackageUnderTest): void {
  const names = entries.map((entry) => name + entry.slice(1));
  const lines = names.flatMap((specifier, i) => [
    `import * as entry${i} from "${specifier}";`,
    `export const size${i}: number = Object.keys(entry${i}).length;`,
  ]);
  Deno.writeTextFileSync(join(folder, "every_entry.ts"), lines.join("\n") + "\n");
  Deno.copyFileSync(join(root, "tests/consumer.ts"), join(folder, "consumer.ts"));
  const compilerOptions = {
    target: "es2022",
    lib: ["es2022", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"],
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    types: ["node"],
    noEmit: true,
  };
  const tsconfig = { compilerOptions, files: ["every_entry.ts", "consumer.ts"] };
  Deno.writeTextFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
  run(join(folder, "node_modules/.bin/tsc"), ["--pretty", "false"], { cwd: folder });
  console.log(
    `types: a strict consumer of ${entries.length} entry points compiles with TypeScript ${TYPESCRIPT}`,
  );
}

/** The arguments that make Node run a file of TypeScript. */
export const NODE_FLAGS: readonly string[] = [
  "--experimental-strip-types",
  "--disable-warning=ExperimentalWarning",
];

/** Copies `tests/`, or `path` in it, its imports of the source tree turned into imports of the installed package. */
export function copyTests(subject: PackageUnderTest, path = ""): void {
  const from = join(subject.root, "tests", path);
  const to = join(subject.folder, "tests", path);
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    const inner = path === "" ? name : `${path}/${name}`;
    if (LEFT_OUT.includes(inner)) continue;
    if (isDirectory) {
      copyTests(subject, inner);
    } else if (name.endsWith(".ts")) {
      Deno.writeTextFileSync(join(to, name), redirectImports(subject, join(from, name), to));
    } else {
      Deno.copyFileSync(join(from, name), join(to, name));
    }
  }
}

/** Copies what makes the package a peer of interop tests. */
export function copyPeer(subject: PackageUnderTest): void {
  const [from, to] = [subject.root, subject.folder].map((folder) => join(folder, "tests/interop"));
  Deno.mkdirSync(to!, { recursive: true });
  for (const name of PEER_FILES) {
    Deno.writeTextFileSync(join(to!, name), redirectImports(subject, join(from!, name), to!));
  }
}

/** The text of the test `file`, which will lie in `folder`, importing from the package what it took from the source tree. */
function redirectImports(subject: PackageUnderTest, file: string, folder: string): string {
  const tests = join(subject.root, "tests");
  const installed = join(subject.folder, "node_modules", subject.name);
  const text = Deno.readTextFileSync(file);
  return text.replace(/((?:from|import)\s*\(?\s*")(\.[^"]+)\.ts(")/g, (whole, before, path, after) => {
    const target = resolve(dirname(file), path);
    if (target.startsWith(tests)) return whole;
    return before + relative(folder, join(installed, relative(subject.root, target))) + ".js" + after;
  });
}

/** Worlds whose traces must be the same under Deno, from the source, and under Node, from the package. */
const COMPARED_WORLDS = 25;

function runSuite({ node, folder, root }: PackageUnderTest): Tested {
  const sim = ["run", "-A", "--quiet", "tests/sim/main.ts", "worlds", "--hashes"];
  const soak = [...sim, "--seeds", String(COMPARED_WORLDS)];
  const hashes = run(Deno.execPath(), soak, { cwd: root }).trim();
  const tests = join(folder, "tests");
  const simulated = Deno.env.get("HYPHA_LONG") === "1" ? [] : SIMULATED.map((path) => join(tests, path));
  const files = [...testFiles(tests)].filter((file) => !simulated.includes(file)).toSorted();
  // One more than there are processors, since some tests wait.
  const concurrency = `--test-concurrency=${navigator.hardwareConcurrency + 1}`;
  const { success, output } = tryRun(
    join(folder, "node_modules/.bin/node"),
    [...NODE_FLAGS, "--test", concurrency, "--test-reporter=tap", ...files],
    { cwd: folder, env: { HYPHA_SIM_HASHES: hashes } },
  );
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(output)?.[1] ?? NaN);
  if (!success) console.error(failures(output));
  const [passed, failed] = [count("pass"), count("fail")];
  console.log(`suite under Node ${node}: ${passed} passed, ${failed} failed, ${count("skipped")} skipped`);
  return { success: success && passed > 0, passed, failed };
}

function runPeerTests({ folder, root }: PackageUnderTest): Tested {
  const { success, output } = tryRun(
    Deno.execPath(),
    ["test", "-A", "--quiet", "--parallel", ...PEER_TESTS.map((name) => `tests/interop/${name}`)],
    { cwd: root, env: { HYPHA_NPM: folder } },
  );
  if (!success) console.error(output);
  const [summary = "", passed = "0", failed = "0"] = /(\d+) passed \| (\d+) failed.*/.exec(output) ?? [];
  console.log(`logs of Node beside others: ${summary}`);
  return { success: success && Number(passed) > 0, passed: Number(passed), failed: Number(failed) };
}

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* testFiles(join(folder, name));
    else if (name.endsWith("_test.ts")) yield join(folder, name);
  }
}

/** The parts of a TAP report that tell of failures. */
function failures(report: string): string {
  const parts = report.split(/^(?=\s*(?:not )?ok \d)/m);
  const failed = parts.filter((part) => part.trimStart().startsWith("not ok"));
  return failed.length > 0 ? failed.join("") : report;
}

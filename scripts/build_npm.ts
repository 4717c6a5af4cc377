/**
 * Builds the npm package from the exports table of deno.json, proves that it works, and leaves the tarball in `npm/`.
 *
 * `deno pack` does the translation: one .js and one .d.ts for each module, under the same paths. What it leaves open is
 * done here: the manifest gets exact versions and what registries want to know, and the files are checked against the graph of
 * the entry points. Then `test_npm.ts` installs the result and runs the suite on it.
 *
 * Run it with `deno task npm`; `--build-only` leaves out the proof.
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { run, tryRun } from "./run.ts";
import { testPackage } from "./test_npm.ts";

/** The oldest Node that the package promises to run on; the suite runs on exactly this one. */
const OLDEST_NODE = "22.13.0";

/** What npm needs to know beyond deno.json. */
const ABOUT = {
  description: "Peer-to-peer connections and logs: the Hyper stack in TypeScript, for Deno and Node",
  keywords: [
    "p2p",
    "peer-to-peer",
    "udx",
    "hyperswarm",
    "hyperdht",
    "hypercore",
    "holepunch",
    "noise",
    "deno",
  ],
  sideEffects: false,
  engines: { node: `>=${OLDEST_NODE}` },
};

/** Native speed-ups: the package works without them, so their failure to install is no failure. */
const OPTIONAL_DEPENDENCIES = ["sodium-native"];

/** Files of the package that are no modules. */
const PLAIN_FILES = ["package.json", "README.md", "CHANGELOG.md", "LICENSE"];

/** The parts of deno.json that are read here. */
interface DenoConfig {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

/** The parts of package.json that are read here. */
interface Manifest {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const config: DenoConfig = JSON.parse(Deno.readTextFileSync(join(root, "deno.json")));

/** The version of `name` that deno.json pins. */
function pinnedVersion(name: string): string {
  const version = /^npm:@?[^@]+@(\d+\.\d+\.\d+)$/.exec(config.imports[name] ?? "")?.[1];
  if (version === undefined) {
    throw new Error(`${name} is not pinned to an exact version in the imports of deno.json`);
  }
  return version;
}

/** @throws {Error} unless package.json and deno.json export the same modules under the same names. */
function checkExports(manifest: Manifest): void {
  const toPath = (path: string, extension: string) => path.replace(/\.ts$/, extension);
  const expected = Object.entries(config.exports).map(([name, path]) =>
    `${name} ${toPath(path, ".js")} ${toPath(path, ".d.ts")}`
  );
  const actual = Object.entries(manifest.exports).map(([name, to]) => `${name} ${to.default} ${to.types}`);
  if (expected.join("\n") === actual.join("\n")) return;
  throw new Error(
    `The exports differ.\ndeno.json:\n${expected.join("\n")}\npackage.json:\n${actual.join("\n")}`,
  );
}

/** The manifest that `deno pack` wrote, completed. */
function completeManifest(manifest: Manifest): Manifest {
  const pin = (names: readonly string[]) =>
    Object.fromEntries(names.toSorted().map((name) => [name, pinnedVersion(name)]));
  const required = Object.keys(manifest.dependencies ?? {}).filter((name) =>
    !OPTIONAL_DEPENDENCIES.includes(name)
  );
  const { exports, dependencies: _caretRanges, ...rest } = manifest;
  return {
    ...rest,
    ...ABOUT,
    exports: { ...exports, "./package.json": "./package.json" } as unknown as Manifest["exports"],
    dependencies: pin(required),
    optionalDependencies: pin(OPTIONAL_DEPENDENCIES),
  };
}

/** The paths of all modules that the entry points reach, without extension, relative to the root. */
function reachableModules(): Set<string> {
  const modules = new Set<string>();
  for (const entry of Object.values(config.exports)) {
    const graph = JSON.parse(run(Deno.execPath(), ["info", "--json", entry], { cwd: root }));
    for (const { specifier, error } of graph.modules) {
      if (error !== undefined) throw new Error(error);
      if (!specifier.startsWith("file:")) continue;
      modules.add(relative(root, fileURLToPath(specifier)).replaceAll("\\", "/").replace(/\.ts$/, ""));
    }
  }
  return modules;
}

/** All files under `folder`, relative to it. */
function listFiles(folder: string, prefix = ""): string[] {
  return [...Deno.readDirSync(join(folder, prefix))].flatMap((item) => {
    const path = prefix === "" ? item.name : `${prefix}/${item.name}`;
    return item.isDirectory ? listFiles(folder, path) : [path];
  });
}

/** @throws {Error} if a file is in the package that no entry point needs, or is missing. */
function checkFiles(folder: string, modules: ReadonlySet<string>): void {
  const files = new Set(listFiles(folder));
  const strangers = [...files].filter((file) =>
    !PLAIN_FILES.includes(file) && !modules.has(file.replace(/(\.js|\.d\.ts)$/, ""))
  );
  const missing = [...PLAIN_FILES, ...[...modules].map((module) => `${module}.js`)].filter((file) =>
    !files.has(file)
  );
  const complaints = [
    ...strangers.map((file) => `${file} is reached from no entry point`),
    ...missing.map((file) => `${file} is missing`),
  ];
  if (complaints.length > 0) throw new Error(`The package has the wrong files:\n${complaints.join("\n")}`);
}

/** Builds the package in `temporary` and returns the path of the tarball. */
function build(temporary: string, modules: ReadonlySet<string>): string {
  // Without source maps: the output keeps names, comments and order of the source, and they would triple the size.
  const pack = ["pack", "--allow-dirty", "--no-source-maps", "-o", join(temporary, "packed.tgz")];
  const { success, output } = tryRun(Deno.execPath(), pack, { cwd: root });
  // Exports without explicit types are no failure to `deno pack`: it then leaves out all declarations.
  if (!success || output.includes("error[")) {
    throw new Error(`deno pack failed:\n${output.replaceAll(/^Could not generate types.*\n/gm, "")}`);
  }
  run("tar", ["-xzf", "packed.tgz"], { cwd: temporary });
  const folder = join(temporary, "package");
  const manifestPath = join(folder, "package.json");
  const manifest: Manifest = JSON.parse(Deno.readTextFileSync(manifestPath));
  checkExports(manifest);
  checkFiles(folder, modules);
  Deno.writeTextFileSync(manifestPath, JSON.stringify(completeManifest(manifest), null, 2) + "\n");
  Deno.mkdirSync(join(root, "npm"), { recursive: true });
  const name = run("npm", ["pack", "--silent", "--pack-destination", join(root, "npm")], { cwd: folder });
  return join(root, "npm", name.trim());
}

const temporary = Deno.makeTempDirSync({ prefix: "hypha-npm-" });
let failed = true;
try {
  const modules = reachableModules();
  const tarball = build(temporary, modules);
  const kilobytes = Math.ceil(Deno.statSync(tarball).size / 1000);
  console.log(`${relative(root, tarball)}: ${modules.size} modules, ${kilobytes} kB`);
  failed = !Deno.args.includes("--build-only") && !testPackage({
    name: config.name,
    entries: Object.keys(config.exports),
    tarball,
    root,
    node: OLDEST_NODE,
    folder: join(temporary, "consumer"),
  });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  Deno.removeSync(temporary, { recursive: true });
}
if (failed) Deno.exit(1);

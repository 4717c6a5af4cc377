/**
 * Records a small corestore 7 with what is in it: `node record_corestore.mjs > ../../vectors/corestore.json`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const folder = mkdtempSync(join(tmpdir(), "corestore-"));
const path = join(folder, "store");
const script = fileURLToPath(new URL("make_corestore.mjs", import.meta.url));
const { stdout } = spawnSync("node", [script, "7-small", path], { encoding: "utf8" });
const version = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
const names = readdirSync(join(path, "db")).filter((name) =>
  /^CURRENT$|^MANIFEST|\.(log|sst|blob)$/.test(name)
);
const files = names.map((name) => [name, gzipSync(readFileSync(join(path, "db", name))).toString("base64")]);
const versions = ["corestore", "hypercore", "hypercore-storage", "rocksdb-native"].map((
  name,
) => [name, version(name)]);
console.log(JSON.stringify(
  { versions: Object.fromEntries(versions), facts: JSON.parse(stdout), files: Object.fromEntries(files) },
  null,
  1,
));
rmSync(folder, { recursive: true });

/**
 * Installs the reference's packages beside the reference peers, unless the exact versions are there already.
 * Run it with `deno task interop`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const folder = new URL("./reference/", import.meta.url);

function readJson(path: string): Record<string, unknown> | undefined {
  const url = new URL(path, folder);
  return existsSync(url) ? JSON.parse(readFileSync(url, "utf8")) : undefined;
}

const wanted = Object.entries(readJson("package.json")!["dependencies"] as Record<string, string>);
// An alias names its package before the version: `npm:hyperdht@6.32.0`.
const missing = wanted.filter(([name, version]) =>
  readJson(`node_modules/${name}/package.json`)?.["version"] !== version.replace(/^npm:.*@/, "")
);
if (missing.length > 0) {
  const args = ["ci", "--silent", "--no-audit", "--no-fund"];
  const { status } = spawnSync("npm", args, { cwd: fileURLToPath(folder), stdio: "inherit" });
  if (status !== 0) process.exit(1);
}

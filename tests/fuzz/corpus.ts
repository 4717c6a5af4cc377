/**
 * What is on disk: the targets of each folder of sources, and the inputs that once failed.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { FuzzTarget } from "./target.ts";

/** Inputs that once failed, as they lie in `regressions/*.json`. */
export interface Regression {
  /** The name of the target. */
  readonly target: string;
  /** What was wrong. */
  readonly why: string;
  /** The input, in hexadecimal. */
  readonly input: string;
}

/** All targets, in the order of the names of their files. */
export async function loadTargets(): Promise<FuzzTarget[]> {
  const folder = new URL("./", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith("_targets.ts")).toSorted();
  const modules: { targets: readonly FuzzTarget[] }[] = await Promise.all(
    files.map((name) => import(new URL(name, folder).href)),
  );
  return modules.flatMap(({ targets }) => targets);
}

/** All regressions. */
export function loadRegressions(): Regression[] {
  const folder = new URL("./regressions/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".json")).toSorted();
  return files.flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), "utf8")));
}

/** Bytes as lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of lower-case hexadecimal. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

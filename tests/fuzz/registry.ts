/**
 * What needs a fuzz target, read from the declarations in the sources: every exported codec, every function that makes one, every
 * exported decoder, and every exported class that takes bytes from a stranger. Exports carry explicit types, so that the text
 * of a declaration is enough.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Declarations of things that read bytes or text of strangers; the first group is their name. */
const DECLARATIONS: readonly RegExp[] = [
  /^export const (\w+): Codec</gm,
  /^export function (\w+)(?:<[^>]*>)?\([^;{]*?\): Codec</gm,
  /^export (?:async )?function ((?:decode|parse|unpack)\w*)\(/gm,
  /^export class (\w+)[^{]*\{(?:(?!\n\}).)*?\n {2}(?:handleDatagram|handleMessage|handlePacket|onData|receive)\(/gms,
];

/** Exports that look as if they needed a target and do not. */
const EXEMPT: readonly string[] = [
  "Driver", // hands datagrams on without looking at them
];

/** Where the sources lie; missing in the npm package. */
const FOLDERS = ["encoding/", "core/", "transports/", "dht/", "swarm/"];

/** The exports that `text`, a source file, declares and that need a target. */
export function fuzzableExports(text: string): string[] {
  return DECLARATIONS.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!));
}

/** The exports of the whole tree under `root` that need a target, with the files that declare them. */
export function listFuzzable(root: URL): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of FOLDERS) {
    if (!existsSync(new URL(folder, root))) continue;
    for (const name of readdirSync(new URL(folder, root), { recursive: true }) as string[]) {
      if (!name.endsWith(".ts") || /(^|[\\/])testing(_\w+)?\.ts$/.test(name)) continue;
      const path = folder + name.replaceAll("\\", "/");
      for (const declared of fuzzableExports(readFileSync(new URL(path, root), "utf8"))) {
        if (!EXEMPT.includes(declared)) found.set(declared, path);
      }
    }
  }
  return found;
}

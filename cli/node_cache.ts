/**
 * Where the command keeps the nodes that it knew last, so that its next run needs no bootstrap node. One file for each network:
 * nodes of one must not be taken for those of another.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { RoutingTableStore } from "../dht/mod.ts";
import { SocketAddress } from "../encoding/mod.ts";

/** The folder: what the variable HYPHA_CACHE says, or hypha's part of the user's folder for what may be lost. */
export function cacheFolder(): string {
  const { HYPHA_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (HYPHA_CACHE !== undefined && HYPHA_CACHE !== "") return HYPHA_CACHE;
  if (XDG_CACHE_HOME !== undefined && XDG_CACHE_HOME !== "") return join(XDG_CACHE_HOME, "hypha");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "hypha");
  if (process.platform === "win32" && LOCALAPPDATA !== undefined) return join(LOCALAPPDATA, "hypha", "cache");
  return join(homedir(), ".cache", "hypha");
}

/** The file for the network behind `bootstrap`, which is the public one without. */
export function cacheFile(bootstrap: readonly string[] | undefined): string {
  if (bootstrap === undefined) return "public.json";
  const nodes = [...bootstrap].sort().join();
  return `private-${createHash("sha256").update(nodes).digest("hex").slice(0, 16)}.json`;
}

/** Keeps the nodes as a list of `host:port` in JSON. */
export class NodeCache implements RoutingTableStore {
  readonly #folder: string;
  readonly #name: string;

  /** A cache in `folder`, which need not exist yet. */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
  }

  /** What was kept; nothing if there is no such file. Throws if it is damaged: the node then does without. */
  async load(): Promise<readonly SocketAddress[]> {
    let text: string;
    try {
      text = await readFile(join(this.#folder, this.#name), "utf8");
    } catch (error) {
      if (Reflect.get(error as object, "code") === "ENOENT") return [];
      throw error;
    }
    return (JSON.parse(text) as string[]).map((node) => SocketAddress.parse(node));
  }

  /** Keeps `nodes` instead. Several runs may do so at once: each writes a file of its own and renames it. */
  async save(nodes: readonly SocketAddress[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const path = join(this.#folder, this.#name);
    const temporary = `${path}.${process.pid}`;
    await writeFile(temporary, JSON.stringify(nodes.map(String)));
    await rename(temporary, path);
  }
}

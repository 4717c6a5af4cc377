/**
 * One process of the demonstration: it shares a folder, or fetches one, and says how it goes in lines of JSON.
 */
import process from "node:process";
import type { Hypercore } from "../core/hypercore.ts";
import type { ReplicationPeer } from "../core/replication/peer.ts";
import { formatKey, parseKey } from "../encoding/mod.ts";
import { type FolderHeader, readIndex, storeFolder, writeFolder } from "./folder_log.ts";
import { LogNetwork, type LogNetworkOptions } from "./log_network.ts";
import { LogStore } from "./log_store.ts";
import { type Report, Reporter } from "./reporter.ts";
import { untilAborted } from "./until_aborted.ts";

/** What a process is told, in its first argument. */
export interface DemoTask {
  readonly role: "share" | "fetch";
  /** What is shared, or where to put what is fetched. */
  readonly folder: string;
  readonly store: string;
  /** The key of the index, to fetch. */
  readonly key?: string;
  readonly network: LogNetworkOptions;
  /** What the sender gives to each peer: the whole in so many seconds, and so much of it. */
  readonly ration?: { readonly seconds: number; readonly share: number };
}

/** What a process says, besides what commands report. */
export type DemoReport =
  | Extract<Report, { event: "connection" | "closed" | "warning" | "error" }>
  /** Its key, how many blocks it has, and how many there are. */
  | { readonly event: "ready"; readonly peer: string; readonly held: number; readonly header: FolderHeader }
  | { readonly event: "shared"; readonly peer: string; readonly key: string; readonly header: FolderHeader }
  | { readonly event: "block"; readonly held: number; readonly bytes: number; readonly peer: string }
  | { readonly event: "fetched"; readonly ms: number };

function say(report: DemoReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

async function share(task: DemoTask, reporter: Reporter, signal: AbortSignal): Promise<void> {
  await using store = await LogStore.open(task, true);
  const [index, content] = [await store.create("index"), await store.create("content")];
  const header = await storeFolder(task.folder, index, content);
  if (task.ration !== undefined) ration(content, task.ration);
  await using network = await LogNetwork.open(store.logs, task.network, reporter, signal);
  network.join(index, true);
  await network.flush();
  say({ event: "shared", peer: formatKey(network.publicKey), key: index.id, header });
  await untilAborted(signal);
}

/** Gives each peer so much a second and so much in all, and no more. */
function ration(content: Hypercore, { seconds, share }: NonNullable<DemoTask["ration"]>): void {
  const given = new Map<string, number>();
  content.on("peer-add", ({ detail: { peer } }) => {
    peer.maxUploadBytesPerSecond = Math.max(1, content.byteLength / seconds);
  });
  content.on("upload", ({ detail: { peer } }) => {
    const key = keyOf(peer);
    given.set(key, (given.get(key) ?? 0) + 1);
    if (given.get(key)! >= share * content.length) peer.isUploading = false;
  });
}

async function fetchFolder(task: DemoTask, reporter: Reporter, signal: AbortSignal): Promise<void> {
  await using store = await LogStore.open(task, true);
  const index = await store.get({ key: parseKey(task.key!) });
  await using network = await LogNetwork.open(store.logs, task.network, reporter, signal);
  network.join(index, true);
  const startedAt = performance.now();
  const { header, entries } = await readIndex(index, signal);
  const content = await store.get({ key: parseKey(header.content) });
  let { held } = await content.info();
  say({ event: "ready", peer: formatKey(network.publicKey), held, header });
  const seen = new Set<number>();
  content.on("download", ({ detail: { index, peer, byteLength: bytes } }) => {
    // Of a peer that was slow the answer may come after another's.
    if (seen.has(index)) return;
    seen.add(index);
    // By the next turn it is written: what is told is there when this process is killed.
    setTimeout(() => say({ event: "block", held: ++held, bytes, peer: keyOf(peer) }), 0);
  });
  const range = content.download({ end: header.blocks });
  await Promise.race([range.done(), untilAborted(signal)]);
  await new Promise((resolve) => setTimeout(resolve, 0));
  await writeFolder(task.folder, entries, content);
  say({ event: "fetched", ms: Math.round(performance.now() - startedAt) });
  // The other one may need what is here.
  await untilAborted(signal);
}

function keyOf({ remotePublicKey }: ReplicationPeer): string {
  return formatKey(remotePublicKey);
}

const ended = new AbortController();
process.once("SIGTERM", () => ended.abort(new Error("ended")));
const task = JSON.parse(process.argv[2]!) as DemoTask;
try {
  const work = task.role === "share" ? share : fetchFolder;
  await work(task, new Reporter({ isJson: true }), ended.signal);
} catch (error) {
  if (!ended.signal.aborted) {
    say({ event: "error", code: "DEMO_FAILED", message: (error as Error).message });
    process.exitCode = 1;
  }
}

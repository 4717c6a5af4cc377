/**
 * Logs of ours in a process of its own, driven by the same JSON lines as `reference/log_peer.mjs`. `scripts/test_npm.ts` puts it
 * beside the installed package, so that hypha on Node stands where the reference stands: `node our_log_peer.ts sqlite`.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { fromHex } from "../../encoding/text.ts";
import type { DrivenLog, LogInfo, Medium } from "./driven_logs.ts";
import type { OurLog } from "./our_log.ts";
import { OurPeer, OurStore } from "./our_logs.ts";

// deno-lint-ignore no-explicit-any
type Details = any;

const peer = new OurPeer(process.argv[2] as Medium);
const logs = new Map<string, OurLog>();
const stores = new Map<string, OurStore>();
/** Swarms that are yet to be joined. */
const swarms = new Map<string, Details>();
/** What ends connections and leaves swarms. */
const leaving = new Map<string, () => Promise<void>>();

const write = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const of = ({ logs: names = [] }: Details): DrivenLog[] => names.map((name: string) => logs.get(name)!);

async function keep(name: string, log: OurLog): Promise<LogInfo> {
  logs.set(name, log);
  void log.seenConflict.then((seen) => write({ event: "conflict", log: name, ...seen }));
  return await log.info();
}

const operations: Readonly<Record<string, (details: Details) => unknown>> = {
  open: async ({ log, ...settings }) => await keep(log, await peer.open(settings)),
  close: ({ log }) => logs.get(log)!.close(),
  info: ({ log }) => logs.get(log)!.info(),
  digest: ({ log }) => logs.get(log)!.digest(),
  append: ({ log, blocks, signature }) => logs.get(log)!.append(blocks, signature),
  truncate: ({ log, length, ...options }) => logs.get(log)!.truncate(length, options),
  clear: ({ log, start, end }) => logs.get(log)!.clear(start, end),
  get: async ({ log, index, ...options }) => ({ sha256: await logs.get(log)!.get(index, options) }),
  has: async ({ log, start, end }) => ({ has: await logs.get(log)!.has(start, end) }),
  async seek({ log, bytes }) {
    const [index, offset] = await logs.get(log)!.seek(bytes);
    return { index, offset };
  },
  update: async ({ log, wait }) => ({ updated: await logs.get(log)!.update(wait) }),
  until: ({ log, ...wanted }) => logs.get(log)!.until(wanted),
  download: ({ log, ...range }) => logs.get(log)!.download(range),
  follow: ({ log }) => logs.get(log)!.follow(),
  sign: ({ log, ...signed }) => logs.get(log)!.sign(signed),
  assemble: async ({ log, parts }) => ({ signature: await logs.get(log)!.assemble(parts) }),
  push: ({ log, index }) => logs.get(log)!.push(index),

  extension: ({ log, extension }) =>
    logs.get(log)!.extend(extension, (text) => void write({ event: "extension", log, extension, text })),
  say: ({ log, extension, text, isToOne }) => logs.get(log)!.say(extension, text, isToOne),

  async store({ store, primaryKey }) {
    stores.set(store, await OurStore.open(peer, primaryKey && fromHex(primaryKey)));
  },
  get_from_store: async ({ store, log, ...which }) => await keep(log, await stores.get(store)!.get(which)),

  async listen({ logs, store, isInitiator }) {
    if (store !== undefined) return { port: await stores.get(store)!.listen(isInitiator) };
    return { port: await peer.listen(of({ logs }), isInitiator) };
  },
  async connect({ stream, port, logs, store, isInitiator }) {
    const connected = store === undefined
      ? peer.connect(port, of({ logs }), isInitiator)
      : stores.get(store)!.connect(port, isInitiator);
    leaving.set(stream, await connected);
  },
  disconnect: ({ stream }) => leaving.get(stream)!(),

  swarm: ({ swarm, ...details }) => void swarms.set(swarm, details),
  async join({ swarm, server, client }) {
    const { port, ...details } = swarms.get(swarm);
    const role = !server ? "client" : client ? "both" : "server";
    leaving.set(swarm, await peer.join(port, of(details), role));
  },
  leave_swarm: ({ swarm }) => leaving.get(swarm)!(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, timeoutMs: _, ...details } = JSON.parse(line);
  Promise.resolve().then(() => operations[op]!(details))
    .catch((error) => ({ failure: error.code ?? error.message, detail: error.stack }))
    .then((answer) => write({ id, ...answer as object }));
}
await peer[Symbol.asyncDispose]();
process.exit();

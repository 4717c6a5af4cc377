/**
 * `hypha send`: offers a file to whoever holds the ticket, or knows the topic.
 */
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { abortable } from "../core/runtime/async.ts";
import { formatKey } from "../encoding/mod.ts";
import { topicOf } from "./dht_node.ts";
import { CliNode, type NodeOptions } from "./node.ts";
import { Offer } from "./offer.ts";
import type { Reporter } from "./reporter.ts";
import { formatTicket } from "./ticket.ts";

/** What `hypha send` is told. */
export interface SendOptions extends NodeOptions {
  /** The port to listen on, of UDX and of TCP; 0 = any. */
  readonly port: number;
  /** Whether to go on after the first receiver. */
  readonly keep: boolean;
  /** Whether to put addresses into the ticket even if the key is enough. */
  readonly hints: boolean;
}

/** Offers `path` until a receiver has it, or with `keep` until `signal` aborts. */
export async function send(
  path: string,
  options: SendOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await using file = await openForReading(path);
  const { size } = await file.stat();
  const name = basename(path);
  await using node = await CliNode.make(options, reporter);
  const offer = new Offer(node.runtime.clock, { file, name, size, keep: options.keep }, reporter);
  try {
    await announce(node, offer, { name, size }, options, reporter, signal);
    await abortable(Promise.race([offer.done, node.failed]), signal);
  } finally {
    await offer.close(signal.reason);
  }
}

/** Makes the offer known, and says how others find it. */
async function announce(
  node: CliNode,
  offer: Offer,
  { name, size }: { readonly name: string; readonly size: number },
  options: SendOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const { topic, port, lanOnly, hints } = options;
  if (topic !== undefined) {
    const swarm = node.join(topicOf(node.runtime, topic), port, signal);
    swarm.on("connection", ({ detail: { connection } }) => offer.take(connection));
    reporter.report({ event: "topic", topic, file: name, bytes: size });
    return;
  }
  const place = await node.listen(port, (connection) => offer.take(connection), signal);
  // Where the DHT or the local network lead to the key, it is enough.
  const isEnough = (place.isInDht || lanOnly === true) && !hints;
  const ticket = isEnough ? formatKey(place.publicKey) : formatTicket(node.runtime.crypto, place);
  reporter.report({ event: "ticket", ticket, file: name, bytes: size });
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, "r");
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (cause) {
    const isMissing = Reflect.get(cause as object, "code") === "ENOENT";
    throw new TypeError(
      isMissing ? `There is no file ${path}` : `Cannot read ${path}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  throw new TypeError(`${path} is not a file: pack a folder into an archive first`);
}

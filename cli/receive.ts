/**
 * `hypha receive`: fetches the file behind a ticket, or the first that is offered under a topic.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { abortable } from "../core/runtime/async.ts";
import { ConnectError, HyphaError, ProtocolError, StorageError } from "../core/runtime/errors.ts";
import { equals, toHex } from "../encoding/mod.ts";
import { topicOf } from "./dht_node.ts";
import { FileChannel } from "./file_channel.ts";
import type { FileMessage } from "./file_messages.ts";
import { CliNode, type NodeOptions } from "./node.ts";
import { Progress, type Reporter } from "./reporter.ts";
import { TargetFile } from "./target_file.ts";
import { parseTicket } from "./ticket.ts";
import { wayOf } from "./way.ts";

/** What `hypha receive` is told. */
export interface ReceiveOptions extends NodeOptions {
  /** What `hypha send` printed, unless there is a topic. */
  readonly ticket?: string;
  /** The folder for the file. */
  readonly out: string;
  /** Whether a file of the same name may be replaced. */
  readonly force: boolean;
}

type Message<Type extends FileMessage["type"]> = Extract<FileMessage, { type: Type }>;

/** A sender, and what it offers. */
interface Found {
  readonly channel: FileChannel;
  readonly offer: Message<"offer">;
}

/** How long whoever has the key of a ticket may take to show that it is a sender, in milliseconds. */
const SENDER_TIMEOUT_MS = 10_000;

/** Fetches what is offered into a folder, and reports it. */
export async function receive(
  options: ReceiveOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await using node = await CliNode.make(options, reporter);
  const { clock } = node.runtime;
  const startedAt = clock.now();
  const { topic, ticket } = options;
  const { channel, offer } = topic === undefined
    ? await offerBehind(ticket!, node, reporter, signal)
    : await firstOffer(topic, node, reporter, signal);
  const onAbort = () => channel.connection.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const ms = Math.round(clock.now() - startedAt);
    reporter.report({ event: "connected", ...wayOf(channel.connection), ms });
    await fetchFile(channel, offer, options, reporter);
    await channel.close();
  } catch (error) {
    await refuse(channel, error);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Connects to the sender of a ticket. */
async function offerBehind(
  ticket: string,
  node: CliNode,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Found> {
  const connection = await node.connect(parseTicket(node.runtime.crypto, ticket), signal);
  const channel = new FileChannel(connection, "receive");
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(SENDER_TIMEOUT_MS)]);
    if (!await abortable(channel.isMatched, patience).catch(() => false)) {
      signal.throwIfAborted();
      throw new ConnectError("SERVER_ERROR", "The peer is there, and offers no file: ask it for its ticket");
    }
    const asking = offerOf(channel, () => reporter.note("Others are served first, please wait."));
    return { channel, offer: await abortable(asking, signal) };
  } catch (error) {
    connection.abort(error);
    throw error;
  }
}

/** Waits for the first sender under a topic; those who come later are told that they are not needed. */
async function firstOffer(
  topic: string,
  node: CliNode,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<Found> {
  const swarm = node.join(topicOf(node.runtime, topic), 0, signal);
  const found = Promise.withResolvers<Found>();
  let isFound = false;
  swarm.on("connection", ({ detail: { connection, peer } }) => {
    if (isFound) return;
    const consider = async () => {
      const channel = new FileChannel(connection, "receive");
      // The others want to receive as well.
      if (!await channel.isMatched) return;
      const offer = await offerOf(channel, () => {});
      if (!isFound) {
        isFound = true;
        found.resolve({ channel, offer });
        return;
      }
      peer.isReconnecting = false;
      await turnAway(channel, "TAKEN", "it takes the file of another sender");
    };
    consider().catch((error) => {
      // Another sender may come; this one is left alone if it cannot be understood.
      if (error instanceof ProtocolError) peer.isReconnecting = false;
      connection.abort(error);
    });
  });
  reporter.note(`Looking for whoever offers a file under ${JSON.stringify(topic)}, until you interrupt...`);
  return await abortable(Promise.race([found.promise, node.failed]), signal);
}

/** What the sender offers, as soon as it is this side's turn. */
async function offerOf(channel: FileChannel, onWait: () => void): Promise<Message<"offer">> {
  for (;;) {
    const message = await channel.next();
    if (message.type === "offer") return message;
    if (message.type === "wait") onWait();
    else if (message.type === "refuse") {
      throw new ConnectError("CONNECTION_REFUSED", `The sender refuses: ${message.reason}`);
    } else throw outOfPlace(message, "offer");
  }
}

/** Lets the sender know why, if it can still be reached. */
async function refuse(channel: FileChannel, error: unknown): Promise<void> {
  const code = error instanceof HyphaError ? error.code : "REFUSED";
  const reason = error instanceof StorageError ? error.message : "something went wrong at the receiver";
  await turnAway(channel, code, reason);
}

async function turnAway(channel: FileChannel, code: string, reason: string): Promise<void> {
  await channel.send({ type: "refuse", code, reason }).catch(() => {});
  await channel.close();
}

async function fetchFile(
  channel: FileChannel,
  offer: Message<"offer">,
  options: ReceiveOptions,
  reporter: Reporter,
): Promise<void> {
  const name = safeName(offer.name);
  await using target = await TargetFile.create(options.out, name, options.force);
  await channel.send({ type: "accept" });
  const progress = new Progress(reporter, offer.size);
  const hash = createHash("sha256");
  for (let left = offer.size; left > 0;) {
    const { bytes } = await next(channel, "data");
    if (bytes.length === 0 || bytes.length > left) {
      throw new ProtocolError("INVALID_FRAME", "The sender sent another number of bytes than it announced");
    }
    await target.write(bytes);
    hash.update(bytes);
    left -= bytes.length;
    progress.add(bytes.length);
  }
  const sha256 = new Uint8Array(hash.digest());
  if (!equals((await next(channel, "end")).sha256, sha256)) {
    throw new ProtocolError("INVALID_FRAME", "The file changed while it was sent: ask for it again");
  }
  await target.finish();
  await channel.send({ type: "done" });
  reporter.report({
    event: "done",
    file: join(options.out, name),
    bytes: offer.size,
    sha256: toHex(sha256),
    ms: Math.round(progress.elapsedMs),
    ...wayOf(channel.connection),
  });
}

async function next<Type extends FileMessage["type"]>(
  channel: FileChannel,
  wanted: Type,
): Promise<Message<Type>> {
  let message: FileMessage;
  try {
    message = await channel.next();
  } catch (error) {
    if (!(error instanceof HyphaError) || error.code !== "CONNECTION_CLOSED") throw error;
    throw new ConnectError("CONNECTION_CLOSED", "The sender hung up before the file was complete", {
      cause: error,
    });
  }
  if (message.type !== wanted) throw outOfPlace(message, wanted);
  return message as Message<Type>;
}

function outOfPlace({ type }: FileMessage, wanted: string): ProtocolError {
  return new ProtocolError("INVALID_FRAME", `The sender sent ${type} where ${wanted} belongs`);
}

/** What no file name may have: what terminals obey, and what some system forbids. */
// deno-lint-ignore no-control-regex
const HARMFUL = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069:*?"<>|]/;

/** The last part of a path from a stranger, if it is harmless as a file name. */
function safeName(name: string): string {
  const last = basename(name.replaceAll("\\", "/"));
  const isHarmless = last !== "" && last !== "." && last !== ".." && !HARMFUL.test(last);
  if (!isHarmless || new TextEncoder().encode(last).length > 255) {
    throw new ProtocolError(
      "INVALID_FRAME",
      `The sender's file name ${JSON.stringify(name)} cannot be used here`,
    );
  }
  return last;
}

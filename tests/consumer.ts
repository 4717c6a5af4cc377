/**
 * A program as users write it, compiled against the source and, strictly, against the declarations of the npm package: it holds the
 * public types to their word. It does not run.
 */
import {
  type Connection,
  Corestore,
  Dialer,
  HyphaError,
  loadSystemRuntime,
  MemoryStore,
  type ReplicationPeer,
  udpNetwork,
  UdxTransport,
} from "@hypha/hypha";
import type { Clock, Random, Runtime } from "@hypha/hypha/core";
import { array, type Codec, Cursor, uint } from "@hypha/hypha/encoding";
import type { Link, Listener, PeerRecord, Transport } from "@hypha/hypha/transports";
import { SimulatedNetwork } from "@hypha/hypha/transports/memory";

/** Two peers on one machine. */
export async function greet(): Promise<string> {
  const runtime: Runtime = await loadSystemRuntime();
  const transport = new UdxTransport(runtime, udpNetwork(), { host: "127.0.0.1" });
  const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
  const dialer = new Dialer(runtime, { transports: [transport], keyPair });
  const listener = await dialer.listen((connection: Connection) => connection.write(Uint8Array.of(1)));
  const record: PeerRecord = listener.record;
  try {
    const connection = await dialer.connect(record);
    for await (const chunk of connection) return new TextDecoder().decode(chunk);
    return "";
  } catch (error) {
    return error instanceof HyphaError ? error.code : String(error);
  }
}

/** A log, and its peers. */
export async function note(connection: Connection): Promise<string[]> {
  const store = await Corestore.open(new MemoryStore());
  const notes = await store.get<string>({ name: "notes", valueEncoding: "utf-8" });
  notes.on("peer-add", ({ detail: { peer } }) => slow(peer));
  store.replicate(connection);
  await notes.append(["one", "two"]);
  const draft = await notes.session({ name: "draft" });
  await notes.commit(draft);
  const all: string[] = [];
  for await (const text of notes.createReadStream({ end: 2 })) all.push(text);
  return [...all, await notes.get(0) ?? ""];
}

function slow(peer: ReplicationPeer): void {
  peer.maxUploadBytesPerSecond = 1000;
}

/** A transport of one's own. */
export class Nowhere implements Transport {
  readonly scheme = "nowhere";
  dial(address: string): Promise<Link> {
    return Promise.reject(new TypeError(address));
  }
  listen(): Promise<Listener> {
    return Promise.resolve({ addresses: ["nowhere:"], [Symbol.asyncDispose]: () => Promise.resolve() });
  }
}

/** A codec made of others. */
export function encodeAll(numbers: readonly number[]): Uint8Array {
  const codec: Codec<number[], readonly number[]> = array(uint);
  const cursor = new Cursor(new Uint8Array(codec.size(numbers)));
  codec.encode(cursor, numbers);
  return cursor.buffer;
}

/** The simulated network takes any clock and any chance. */
export function simulate(clock: Clock, random: Random): string {
  const network = new SimulatedNetwork({ clock, random, wan: { latencyMs: 20, loss: [1, 100] } });
  return network.host().address;
}

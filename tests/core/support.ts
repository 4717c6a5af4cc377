/** What tests of sessions and stores of logs share. */
import { Corestore, type CorestoreOptions } from "../../core/corestore.ts";
import { SystemClock } from "../../core/runtime/system.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { type LogStorage, MemoryStore, type Store } from "../../core/storage/mod.ts";
import { Connection } from "../../core/stream/connection.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { seed, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";

let count = 0;

/** Real time, chance by a seed that is another each time, cryptography in WebAssembly. */
export function newRuntime() {
  return { clock: new SystemClock(), random: new SeededRandom(`core ${count++}`), crypto: wasm };
}

/** A store of logs in memory. */
export function newStore(
  options: CorestoreOptions = {},
  store: Store = new MemoryStore(),
): Promise<Corestore> {
  return Corestore.open(store, { runtime: newRuntime(), ...options });
}

/** A test that opens stores of logs, which are closed when it is over. */
export function storeTest(name: string, work: (open: typeof newStore) => Promise<void>): void {
  test(name, async () => {
    const opened: Corestore[] = [];
    try {
      await work(async (...options) => {
        const store = await newStore(...options);
        opened.push(store);
        return store;
      });
    } finally {
      for (const store of opened.reverse()) await store.close();
    }
  });
}

/** Two ends of an encrypted connection in memory. */
export async function connect(): Promise<[Connection, Connection]> {
  const runtime = newRuntime();
  const pipes = duplexPair();
  const ends = pipes.map((pipe, i) =>
    new Connection(pipe, runtime, { isInitiator: i === 0, keyPair: wasm.keyPair(seed(50 + i)) })
  ) as [Connection, Connection];
  await Promise.all(ends.map((end) => end.opened));
  return ends;
}

/** Replicates two stores or logs with each other; returns how to cut the connection. */
export async function replicate(
  a: { replicate(stream: Connection): void },
  b: { replicate(stream: Connection): void },
): Promise<() => void> {
  const [near, far] = await connect();
  a.replicate(near);
  b.replicate(far);
  return () => {
    near.abort();
    far.abort();
  };
}

/** A store that stays open when what is built on it closes. */
export function kept(store: Store): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === "close") return () => target.sync();
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Writes a log of `blocks` to a store, which stays open. */
export async function storeWith(
  store: Store,
  blocks: readonly Uint8Array[],
  primaryKey?: Uint8Array,
): Promise<LogStorage> {
  const corestore = await Corestore.open(kept(store), { runtime: newRuntime(), primaryKey });
  const core = await corestore.get({ name: "log" });
  for (let at = 0; at < blocks.length; at += 100) await core.append(blocks.slice(at, at + 100));
  await corestore.close();
  return await store.open(core.discoveryKey);
}

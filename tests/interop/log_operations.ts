/**
 * What a writer and its readers do at random, all of it from a seed: the list is made first, so that it can be printed, cut and
 * played again. In the end every reader that wants everything must have it, and whoever has a block must have the right one.
 */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import type { Block, DrivenLog, DrivenPeer, LogSettings } from "./driven_logs.ts";

/** One thing that somebody does. `reader` is the number of one. */
export type Operation =
  | { readonly do: "append"; readonly blocks: readonly Block[] }
  | { readonly do: "truncate"; readonly length: number }
  | { readonly do: "clear"; readonly start: number; readonly end: number }
  | { readonly do: "get"; readonly reader: number; readonly index: number }
  | { readonly do: "download"; readonly reader: number; readonly start: number; readonly end: number }
  | { readonly do: "seek"; readonly reader: number; readonly share: number }
  | { readonly do: "clear at reader"; readonly reader: number; readonly start: number; readonly end: number }
  | { readonly do: "reconnect"; readonly reader: number };

/** What decides what is done. */
export interface Plan {
  readonly seed: number;
  readonly readers: number;
  readonly operations: number;
  /** Whether the writer takes back what it has said. */
  readonly isForking: boolean;
  /** Whether the writer throws blocks away. */
  readonly isClearing: boolean;
}

const MAX_APPENDED = 40;
const LARGE_BYTES = 300_000;
/** Fetches that go on while the writer does the next thing. */
const MAX_PENDING = 4;
/** How often it is looked whether readers are connected. */
const LOOK_MS = 200;

/** The operations of a plan. */
export function planOperations({ seed, readers, operations, isForking, isClearing }: Plan): Operation[] {
  const random = new SeededRandom(seed);
  const list: Operation[] = [{ do: "append", blocks: [[10, 0], [0, 1], [100, 2]] }];
  let length = 3;
  let n = 3;
  const block = (): Block => {
    const kind = random.below(30);
    const size = kind === 0 ? random.below(LARGE_BYTES) : kind < 4 ? 0 : random.below(400);
    return [size, n++];
  };
  const range = () => {
    const start = random.below(length);
    return { start, end: start + 1 + random.below(Math.min(length - start, 20)) };
  };
  while (list.length < operations) {
    const reader = random.below(readers);
    const choice = random.below(isForking ? 22 : 20);
    if (choice < 7) {
      const blocks = Array.from(
        { length: 1 + random.below(random.below(4) === 0 ? MAX_APPENDED : 3) },
        block,
      );
      length += blocks.length;
      list.push({ do: "append", blocks });
    } else if (choice < 11 || (choice < 12 && !isClearing)) {
      list.push({ do: "get", reader, index: random.below(length) });
    } else if (choice < 12) list.push({ do: "clear", ...range() });
    else if (choice < 15) list.push({ do: "download", reader, ...range() });
    else if (choice < 17) list.push({ do: "seek", reader, share: random.below(1000) });
    else if (choice < 18) list.push({ do: "clear at reader", reader, ...range() });
    else if (choice < 20) list.push({ do: "reconnect", reader });
    else {
      length -= random.below(Math.min(length - 1, 30));
      list.push({ do: "truncate", length });
    }
  }
  return list;
}

/** How readers get to a writer. */
export interface Network {
  /** Whether a connection that was lost comes back by itself. */
  readonly isLasting: boolean;
  /** Shows a log; returns what connects a reader, which returns what disconnects it. */
  serve(writer: DrivenPeer, log: DrivenLog): Promise<Dial>;
}

/** Connects a reader; returns what disconnects it. */
export type Dial = (reader: DrivenPeer, log: DrivenLog) => Promise<() => Promise<void>>;

/** The writer listens, and readers dial. */
export const OVER_TCP: Network = {
  isLasting: false,
  async serve(writer, log) {
    const port = await writer.listen([log]);
    return (reader, copy) => reader.connect(port, [copy]);
  },
};

/** All join a swarm whose bootstrap node has a port, where readers meet each other too. */
export function inOneSwarm(port: number): Network {
  return {
    isLasting: true,
    async serve(writer, log) {
      await writer.join(port, [log], "server");
      return (reader, copy) => reader.join(port, [copy], "both");
    },
  };
}

/** A writer, its readers, and how they are connected. */
export class Play {
  readonly #writer: DrivenLog;
  readonly #readers: readonly DrivenLog[];
  readonly #peers: readonly DrivenPeer[];
  readonly #network: Network;
  readonly #dial: Dial;
  readonly #partings: (() => Promise<void>)[] = [];
  /** Blocks that the writer has cleared: nobody can be sure to get them. */
  readonly #cleared = new Set<number>();
  #isReconnecting = false;
  /** How often a reader had to dial again. */
  redials = 0;

  private constructor(
    writer: DrivenLog,
    readers: readonly DrivenLog[],
    peers: readonly DrivenPeer[],
    network: Network,
    dial: Dial,
  ) {
    this.#writer = writer;
    this.#readers = readers;
    this.#peers = peers;
    this.#network = network;
    this.#dial = dial;
  }

  /** Opens a log at `writer` and a copy at each of `readers`, which may share peers, and connects them. */
  static async open(
    writer: DrivenPeer,
    readers: readonly DrivenPeer[],
    network: Network,
    settings: LogSettings = {},
  ): Promise<Play> {
    const log = await writer.open({ seed: 1, ...settings });
    const { compat, encryptionKey } = settings;
    const shared = {
      ...(compat === undefined ? {} : { compat }),
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
    };
    const copies = await Promise.all(readers.map((peer) => peer.open({ key: log.key, ...shared })));
    const play = new Play(log, copies, readers, network, await network.serve(writer, log));
    for (const index of copies.keys()) await play.#connect(index);
    return play;
  }

  async #connect(reader: number): Promise<void> {
    this.#partings[reader] = await this.#dial(this.#peers[reader]!, this.#readers[reader]!);
  }

  /**
   * Does `work`, and meanwhile dials again for readers who have lost their connection, as a swarm does: a hypercore 11 cuts it
   * when it truncates while it makes a proof.
   */
  async watch(work: () => Promise<void>): Promise<void> {
    if (this.#network.isLasting) return await work();
    let isDone = false;
    const alone = new Map<number, number>();
    const look = async () => {
      while (!isDone) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        for (const [at, reader] of this.#readers.entries()) {
          if (isDone || this.#isReconnecting || (await reader.info()).peers > 0) alone.delete(at);
          else alone.set(at, (alone.get(at) ?? 0) + 1);
          if ((alone.get(at) ?? 0) < 3) continue;
          alone.delete(at);
          this.redials++;
          await this.#connect(at);
        }
      }
    };
    const looking = look();
    try {
      await work();
    } finally {
      isDone = true;
      await looking;
    }
  }

  /** Does the operations in turn; what readers fetch goes on while the writer does the next thing. */
  async run(operations: readonly Operation[]): Promise<void> {
    const pending = new Set<Promise<void>>();
    for (const [at, operation] of operations.entries()) {
      const isFetch = operation.do === "get" || operation.do === "download" || operation.do === "seek";
      // What a fork or a hole under a request makes of it is not settled: let those be answered before.
      if (pending.size >= MAX_PENDING || (!isFetch && operation.do !== "append")) await Promise.all(pending);
      const done = this.#perform(operation).catch((error) => {
        throw new Error(`operation ${at}, ${JSON.stringify(operation).slice(0, 200)}: ${error.message}`);
      });
      if (!isFetch) {
        await done;
        continue;
      }
      pending.add(done);
      done.catch(() => {}).finally(() => pending.delete(done));
    }
    await Promise.all(pending);
  }

  async #perform(operation: Operation): Promise<void> {
    switch (operation.do) {
      case "append":
        await this.#writer.append(operation.blocks);
        return;
      case "truncate":
        await this.#writer.truncate(operation.length);
        for (const index of this.#cleared) if (index >= operation.length) this.#cleared.delete(index);
        return;
      case "clear":
        for (let index = operation.start; index < operation.end; index++) this.#cleared.add(index);
        await this.#writer.clear(operation.start, operation.end);
        return;
      case "reconnect":
        this.#isReconnecting = true;
        await this.#partings[operation.reader]!();
        await this.#connect(operation.reader);
        this.#isReconnecting = false;
        return;
      case "clear at reader":
        await this.#clearAtReader(this.#readers[operation.reader]!, operation.start, operation.end);
        return;
      default:
        await this.#fetch(this.#readers[operation.reader]!, operation);
    }
  }

  /** Only what the writer still has: what nobody has any more cannot come back. */
  async #clearAtReader(reader: DrivenLog, start: number, end: number): Promise<void> {
    for (let index = start; index < end; index++) if (this.#cleared.has(index)) return;
    await reader.clear(start, end);
  }

  async #fetch(
    reader: DrivenLog,
    operation: Extract<Operation, { do: "get" | "download" | "seek" }>,
  ): Promise<void> {
    const { fork, length, byteLength } = await this.#writer.info();
    if (operation.do === "get") {
      if (this.#cleared.has(operation.index)) return;
      await reader.until({ length: operation.index + 1, fork });
      assert.equal(await reader.get(operation.index), await this.#writer.get(operation.index));
    } else if (operation.do === "download") {
      for (let index = operation.start; index < operation.end; index++) if (this.#cleared.has(index)) return;
      await reader.until({ length: operation.end, fork });
      await reader.download({ start: operation.start, end: operation.end });
      assert.equal(await reader.has(operation.start, operation.end), true);
    } else {
      // Where the writer has holes, it may lack the nodes that lead to a byte.
      if (this.#cleared.size > 0) return;
      const bytes = Math.floor(byteLength * operation.share / 1000);
      await reader.until({ length, fork });
      assert.deepEqual(await reader.seek(bytes), await this.#writer.seek(bytes), `byte ${bytes}`);
    }
  }

  /** Everything that the writer has must be at every reader, and be the same there. */
  async check(): Promise<void> {
    const { length, fork, treeHash } = await this.#writer.info();
    for (const [at, reader] of this.#readers.entries()) {
      const title = `reader ${at}, ${this.#peers[at]!.title}`;
      await reader.until({ length, fork });
      const blocks = Array.from({ length }, (_, index) => index).filter((index) => !this.#cleared.has(index));
      await reader.download({ blocks });
      const info = await reader.info();
      assert.deepEqual([info.length, info.fork, info.treeHash], [length, fork, treeHash], title);
      if (this.#cleared.size === 0) {
        assert.deepEqual(await reader.digest(), await this.#writer.digest(), title);
      }
      for (const index of blocks) assert.equal(await reader.has(index), true, `${title}, block ${index}`);
      for (const index of blocks.filter((index) => index % 7 === 0)) {
        const expected = await this.#writer.get(index, { wait: false });
        assert.equal(await reader.get(index, { wait: false }), expected, `${title}, block ${index}`);
      }
    }
  }
}

/** Plays a plan, and tells the seed when it fails. Returns how often a connection was lost that nobody had cut. */
export async function playAtRandom(
  plan: Plan,
  writer: DrivenPeer,
  readers: readonly DrivenPeer[],
  network: Network = OVER_TCP,
  settings: LogSettings = {},
): Promise<number> {
  const play = await Play.open(writer, readers, network, settings);
  try {
    await play.watch(async () => {
      await play.run(planOperations(plan));
      await play.check();
    });
    return play.redials;
  } catch (error) {
    throw new Error(`${JSON.stringify(plan)}: ${(error as Error).message}`, { cause: error });
  }
}

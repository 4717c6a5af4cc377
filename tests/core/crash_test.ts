/**
 * Logs and crashes: the power fails at points all over the life of a writer. What was acknowledged is there, every block proves
 * itself, and nobody is ever shown two blocks in one place of one fork. `HYPHA_LONG=1` fails at every point.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { concat } from "../../encoding/bytes.ts";
import { leafHash } from "../../core/crypto/hash.ts";
import { defaultManifest, manifestKey } from "../../core/log/manifest.ts";
import { LogState } from "../../core/log/log_state.ts";
import { TreeBatch } from "../../core/log/merkle_tree.ts";
import { discoveryKey } from "../../core/crypto/hash.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { type CrashMode, MemoryStore, SimulatedDisk, type Store } from "../../core/storage/mod.ts";
import { hex, utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { keyPairOf } from "../log/signed_log.ts";
import { openDeferredOn } from "../storage/deferred_support.ts";
import { untilPowerFails } from "../storage/workload.ts";

const OPERATIONS = 300;
const MODES: readonly CrashMode[] = ["all", "none", "prefix", "any"];
const IS_LONG = process.env["HYPHA_LONG"] === "1";
/** Opens a store on a disk; and every how many calls of the disk the power fails. */
interface Kind {
  readonly open: (disk: SimulatedDisk) => Promise<Store>;
  readonly stride: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "a journal": {
    open: (disk) => Promise.resolve(new MemoryStore({ journal: disk.file("journal") })),
    stride: IS_LONG ? 1 : 11,
  },
  "a ring and files of values": { open: (disk) => openDeferredOn(disk), stride: IS_LONG ? 1 : 17 },
};

const pairs = [keyPairOf(1), keyPairOf(2)];
const runtime = { clock: new VirtualClock(), random: new SeededRandom("crash"), crypto: wasm };

/** What peers were shown: the hash of a block by log, fork and index. */
class Shown {
  readonly #hashes: Map<string, string>;

  constructor(before?: Shown) {
    this.#hashes = new Map(before === undefined ? [] : before.#hashes);
  }

  /** Looks at a log as a peer does, whenever it tells of something. */
  watch(log: LogState, name: string): void {
    log.observe({
      onUpgrade: ({ ancestors }) => this.#look(log, name, ancestors, log.length),
    });
  }

  #look(log: LogState, name: string, start: number, end: number): void {
    for (let index = start; index < end; index++) {
      const block = log.readBlock(index);
      assert.ok(block instanceof Uint8Array, `block ${index} was told of and is not there`);
      const place = `${name} ${log.tree.fork} ${index}`;
      const hash = hex(leafHash(wasm, block));
      assert.equal(this.#hashes.get(place) ?? hash, hash, `${place} was shown with two different contents`);
      this.#hashes.set(place, hash);
    }
  }
}

function openLog(store: Store, n: number): Promise<LogState> {
  const manifest = defaultManifest(pairs[n]!.publicKey);
  const key = manifestKey(wasm, manifest);
  const storage = store.open(discoveryKey(wasm, key));
  if (storage instanceof Promise) throw new TypeError("The store answers at once");
  return LogState.open({ runtime, storage, target: store }, { key, manifest, keyPair: pairs[n] });
}

const stateOf = async (log: LogState) => `${log.tree.fork} ${log.length} ${hex((await log.treeHash())!)}`;

/** Works on two logs, and says of each what it is whenever something was acknowledged. */
async function work(
  logs: readonly LogState[],
  seed: number,
  salt: string,
  count: number,
  onAcknowledged: (n: number, log: number, state: string) => void,
): Promise<void> {
  const random = new SeededRandom(`${seed} ${salt}`);
  for (let n = 0; n < count; n++) {
    const which = random.below(2);
    const log = logs[which]!;
    const kind = random.below(12);
    const blocks = (i: number) =>
      Array.from({ length: random.below(4) }, (_, j) => {
        const text = utf8(`${salt} ${n} ${i} ${j}`);
        return random.chance(1, 20) ? concat([text, new Uint8Array(5000)]) : text;
      });
    if (kind === 0) await log.truncate(random.below(log.length + 1), log.tree.fork + 1);
    else if (kind === 1 && log.length > 0) await log.clear([random.below(log.length), log.length]);
    else if (kind === 2) await Promise.all([0, 1, 2].map((i) => log.append(blocks(i))));
    else await log.append(blocks(0));
    onAcknowledged(n, which, await stateOf(log));
  }
}

/** All that is held proves itself, and the whole is signed. */
async function verify(log: LogState): Promise<void> {
  if (log.length > 0) assert.ok(log.verifier!.verify(new TreeBatch(wasm, log.tree), log.signature));
  for (let index = log.held.firstSet(0); index !== -1; index = log.held.firstSet(index + 1)) {
    const proof = await log.prove({ block: { index, nodes: 0 } });
    assert.ok(proof?.block !== undefined, `block ${index} is held and cannot be proven`);
    const leaf = await log.nodes(2 * index);
    assert.equal(hex(leafHash(wasm, proof.block.value)), hex(leaf!.hash), `block ${index} is another one`);
  }
}

async function crashAt(
  { open }: Kind,
  seed: number,
  at: number,
): Promise<{ disk: SimulatedDisk; acknowledged: string[]; shown: Shown }> {
  const fault = ({ number }: { readonly number: number }) => number === at ? "power" as const : undefined;
  const disk = new SimulatedDisk({ random: new SeededRandom(seed), fault });
  const [acknowledged, shown] = [["", ""], new Shown()];
  await untilPowerFails(async () => {
    const store = await open(disk);
    const logs = [await openLog(store, 0), await openLog(store, 1)];
    logs.forEach((log, i) => shown.watch(log, `log ${i}`));
    await work(logs, seed, "before", OPERATIONS, (_n, log, state) => acknowledged[log] = state);
  });
  return { disk, acknowledged, shown };
}

/** All states that each log goes through, in order. */
async function statesOf({ open }: Kind, seed: number): Promise<{ states: string[][]; calls: number }> {
  const disk = new SimulatedDisk({ random: new SeededRandom(seed), fault: () => undefined });
  const store = await open(disk);
  const logs = [await openLog(store, 0), await openLog(store, 1)];
  const states = await Promise.all(logs.map(async (log) => ["", await stateOf(log)]));
  await work(logs, seed, "before", OPERATIONS, (_n, log, state) => states[log]!.push(state));
  const { calls } = disk;
  return { states, calls };
}

for (const [name, kind] of Object.entries(KINDS)) {
  test(`with ${name}, a power cut takes nothing that was acknowledged, and makes no writer contradict itself`, async () => {
    let points = 0;
    for (const seed of IS_LONG ? [1, 2, 3] : [1]) {
      const { states, calls } = await statesOf(kind, seed);
      for (let at = 1; at <= calls; at += kind.stride) {
        const { disk, acknowledged, shown } = await crashAt(kind, seed, at);
        for (const mode of MODES) {
          points++;
          const what = `seed ${seed}, power cut at call ${at}, ${mode} of what was unsynced is left`;
          const found = disk.afterCrash(mode, { random: new SeededRandom(seed * 7919 + at) });
          const store = await kind.open(found);
          const logs = [await openLog(store, 0), await openLog(store, 1)];
          const since = new Shown(shown);
          for (const [i, log] of logs.entries()) {
            await verify(log);
            const place = states[i]!.lastIndexOf(await stateOf(log));
            assert.ok(
              place >= states[i]!.indexOf(acknowledged[i]!),
              `${what}: log ${i} is before what was acknowledged`,
            );
            since.watch(log, `log ${i}`);
          }
          // The writer goes on otherwise than before: what peers have seen must not be contradicted by it.
          await work(logs, seed, `after ${at} ${mode}`, 10, () => {});
          for (const log of logs) await verify(log);
        }
      }
    }
    assert.ok(points > 100, `${points} points`);
  });
}

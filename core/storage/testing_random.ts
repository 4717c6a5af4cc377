/**
 * Conformance of stores: random operations beside a model that copies everything.
 */
import { expect } from "../runtime/conformance.ts";
import type { Random } from "../runtime/runtime.ts";
import { SeededRandom } from "../runtime/virtual.ts";
import type { LogReader, LogSnapshot, LogStorage, Store } from "./storage.ts";
import { bytes, head, key, same, type StoreCase, write } from "./testing_basics.ts";
import type { LogWriter } from "./write_batch.ts";

const OPERATIONS = 300;
const MAX_OVERLAYS = 4;
const MAX_SNAPSHOTS = 3;

/** What should be in a log: the numbers of its blocks, -1 for one that was cleared. */
type Model = number[];

interface Branch {
  readonly log: LogStorage;
  readonly model: Model;
}

class World {
  readonly store: Store;
  readonly random: Random;
  readonly main: Branch;
  readonly overlays = new Map<string, Branch>();
  readonly snapshots: { snapshot: LogSnapshot; model: Model }[] = [];
  #next = 1;
  #names = 0;

  constructor(store: Store, random: Random, log: LogStorage) {
    this.store = store;
    this.random = random;
    this.main = { log, model: [] };
  }

  async step(): Promise<void> {
    const { random } = this;
    const branch = this.#anyBranch();
    const { log, model } = branch;
    const length = random.below(model.length + 1);
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2:
        return await write(this.store, (batch) => this.#append(batch.log(log), model, 1 + random.below(9)));
      case 3:
        model.length = length;
        return await write(this.store, (batch) => {
          batch.log(log).truncate(length).setHead(head(length));
          if (random.chance(1, 2)) this.#append(batch.log(log), model, 1 + random.below(9));
        });
      case 4: {
        const end = Math.min(this.main.model.length, length + random.below(5));
        for (let i = length; i < end; i++) this.main.model[i] = -1;
        return await write(this.store, (batch) => {
          batch.log(this.main.log).clear(length, Math.max(length, end)).clearNodes(
            2 * length,
            Math.max(length, end) * 2,
          );
        });
      }
      case 5:
        return await this.#createOverlay(branch, length);
      case 6:
        return await this.#removeOverlay();
      case 7:
        if (this.snapshots.length === MAX_SNAPSHOTS) return;
        this.snapshots.push({ snapshot: await log.snapshot(), model: [...model] });
        return;
      case 8:
        this.snapshots.splice(random.below(MAX_SNAPSHOTS), 1)[0]?.snapshot[Symbol.dispose]();
    }
  }

  async check(what: string): Promise<void> {
    await checkOne(`${what}, the log`, this.main.log, this.main.model);
    for (const [name, { log, model }] of this.overlays) {
      await checkOne(`${what}, overlay ${name}`, log, model);
    }
    for (const { snapshot, model } of this.snapshots) await checkOne(`${what}, a snapshot`, snapshot, model);
  }

  #anyBranch(): Branch {
    const branches = [this.main, ...this.overlays.values()];
    return branches[this.random.below(branches.length)]!;
  }

  #append(writer: LogWriter, model: Model, count: number): void {
    for (let i = 0; i < count; i++) {
      const index = model.length;
      const n = this.#next++;
      writer.putBlock(index, bytes(n)).putNode({ index: 2 * index, size: n, hash: bytes(n, 32) });
      model.push(n);
    }
    writer.setHead(head(model.length));
  }

  async #createOverlay({ log, model }: Branch, length: number): Promise<void> {
    if (this.overlays.size === MAX_OVERLAYS) return;
    const name = `overlay ${this.#names++}`;
    const overlay = log.overlay(name);
    await write(this.store, (batch) => {
      batch.log(log).createOverlay(name, length);
      batch.log(overlay).setHead(head(length));
    });
    this.overlays.set(name, { log: overlay, model: model.slice(0, length) });
  }

  async #removeOverlay(): Promise<void> {
    const names = [...this.overlays.keys()];
    const name = names[this.random.below(MAX_OVERLAYS)];
    if (name === undefined) return;
    const { log } = this.overlays.get(name)!;
    // Its snapshots end with it, and those of others cannot be told apart here.
    for (const { snapshot } of this.snapshots.splice(0)) snapshot[Symbol.dispose]();
    await write(this.store, (batch) => void batch.log(log).removeOverlay());
    this.overlays.delete(name);
  }
}

async function checkOne(what: string, log: LogReader, model: Model): Promise<void> {
  for (let index = 0; index < model.length + 3; index++) {
    const n = model[index] === -1 ? undefined : model[index];
    const block = await log.block(index);
    const wanted = n === undefined ? undefined : bytes(n);
    expect(same(block, wanted), `${what}: block ${index} is ${block}, should be ${wanted}`);
    expect((await log.node(2 * index))?.size === n, `${what}: node ${2 * index} is not ${n}`);
  }
  const held = model.flatMap((n, index) => n === -1 ? [] : [index]);
  const found: number[] = [];
  for (let blocks = await log.blocks(0, Infinity, 40); blocks.length > 0;) {
    found.push(...blocks.map(({ index }) => index));
    blocks = await log.blocks(found.at(-1)! + 1, Infinity, 40);
  }
  expect(found.join() === held.join(), `${what}: the blocks ${found} are listed, ${held} are held`);
  expect(
    (await log.head())?.length === (model.length || (await log.head())?.length),
    `${what}: its length is wrong`,
  );
}

async function run(store: Store, seed: number): Promise<void> {
  const world = new World(store, new SeededRandom(seed), await store.open(key(seed)));
  for (let i = 0; i < OPERATIONS; i++) {
    await world.step();
    if (i % 10 === 0 || i === OPERATIONS - 1) await world.check(`seed ${seed}, operation ${i}`);
  }
  for (const { snapshot } of world.snapshots) snapshot[Symbol.dispose]();
}

/** What any store must do. */
export const RANDOM_CASES: Record<string, StoreCase> = {
  "random operations on a log, its overlays and snapshots give what copies of all would give": async (
    open,
  ) => {
    const store = await open();
    for (let seed = 1; seed <= 4; seed++) await run(store, seed);
    await store.close();
  },
};

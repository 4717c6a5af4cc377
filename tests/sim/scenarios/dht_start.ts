/**
 * How long a node needs from nothing to its first result, in a network whose round trips are those of the world: 20 to 340 ms, some
 * jitter, 1 % of loss, a tenth of the nodes gone without a word.
 *
 *     nodes on five continents ---+--- core ---+--- newcomers behind home routers
 */
import type { Rpc } from "../../../dht/rpc/rpc.ts";
import type { SocketAddress } from "../../../encoding/address.ts";
import { World } from "../../dht/rpc/support.ts";

/** One-way latencies of a host's link, in milliseconds: near and far from the middle of the network. */
const LATENCIES_MS = [10, 20, 35, 50, 70, 90, 120, 170];

/** What starts took, in virtual milliseconds. */
export interface StartReport {
  /** From `open` to the end of the first lookup, with bootstrap nodes alone; sorted. */
  readonly coldMs: readonly number[];
  /** The same with a kept table and without bootstrap nodes; sorted. */
  readonly warmMs: readonly number[];
  /** From `open` to the first node that a lookup reached, warm; sorted. */
  readonly warmContactMs: readonly number[];
}

/** Starts `count` nodes cold and warm in a network of `size`. */
export async function runStarts(seed: string | number, size: number, count: number): Promise<StartReport> {
  const world = new World(seed);
  const latency = world.random.fork("latency");
  const link = () => ({
    latencyMs: LATENCIES_MS[latency.below(LATENCIES_MS.length)]! / 2,
    jitterMs: 5,
    loss: [1, 200] as const,
  });
  const first = await world.bootstrapper({ at: world.host({ link: { latencyMs: 20 } }) });
  const bootstrap = [world.addressOf(first)];
  const nodes: Rpc[] = [];
  while (nodes.length < size) {
    const batch = Array.from(
      { length: 25 },
      () => world.make({ bootstrap, ephemeral: false, hostOptions: { link: link() } }),
    );
    nodes.push(...batch);
    await world.go(Promise.all(batch.map((node) => node.ready())));
  }
  await world.go(Promise.all(nodes.filter((_, i) => i % 10 === 3).map((node) => node.close())));

  const [coldMs, warmMs, warmContactMs]: number[][] = [[], [], []];
  for (let i = 0; i < count; i++) {
    const home = world.host({ behind: world.network.router({ link: link() }) });
    let kept: readonly SocketAddress[] = [];
    const store = {
      load: () => Promise.resolve(kept),
      save: (all: readonly SocketAddress[]) => {
        kept = all;
        return Promise.resolve();
      },
    };
    const run = async (node: Rpc, total: number[], contact?: number[]) => {
      const start = world.clock.now();
      let firstAt = 0;
      await world.go((async () => {
        await node.open();
        for await (const _ of node.findNode(world.target(`start ${i}`))) firstAt ||= world.clock.now();
      })());
      total.push(world.clock.now() - start);
      contact?.push(firstAt - start);
    };
    const cold = world.make({ at: home, port: 0, bootstrap, store, ephemeral: true });
    await run(cold, coldMs!);
    await world.go(cold.close());
    const warm = world.make({ at: home, port: 0, store, ephemeral: true });
    await run(warm, warmMs!, warmContactMs);
    await world.go(warm.close());
  }
  await world.close();
  const sorted = (values: number[]) => values.toSorted((a, b) => a - b);
  return { coldMs: sorted(coldMs!), warmMs: sorted(warmMs!), warmContactMs: sorted(warmContactMs!) };
}

/** What the memory transport does beyond the conformance suite: time, partitions, refusals. */
import assert from "node:assert/strict";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { MemoryDiscovery, MemoryTransport, SimulatedNetwork } from "../../../transports/memory/mod.ts";
import type { Link } from "../../../transports/transport.ts";
import { test } from "../../harness.ts";

function world() {
  const clock = new VirtualClock();
  const network = new SimulatedNetwork({ clock, random: new SeededRandom(1), wan: { latencyMs: 10 } });
  const [a, b] = [network.host({ name: "a" }), network.host({ name: "b", behind: network.router() })];
  return { clock, network, a, b };
}

async function run<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await clock.runAsync(macrotask);
  return await promise;
}

async function connect(w: ReturnType<typeof world>) {
  const accepted = Promise.withResolvers<Link>();
  const listener = await new MemoryTransport(w.b).listen(accepted.resolve, {});
  const near = await run(w.clock, new MemoryTransport(w.a).dial(listener.addresses[0]!, {}));
  return { listener, near, far: await accepted.promise };
}

test("a dial takes one round trip and bytes take one way", async () => {
  const w = world();
  const { near, far } = await connect(w);
  assert.equal(w.clock.now(), 2 * 20.2);
  let at = 0;
  far.duplex.attach({ onData: () => at = w.clock.now(), onDrain() {}, onEnd() {}, onClose() {} });
  near.duplex.write(new Uint8Array(1));
  w.clock.run();
  assert.equal(at, 3 * 20.2);
});

test("a partition breaks the links across it and dials into it time out", async () => {
  const w = world();
  const { listener, near, far } = await connect(w);
  const closed: unknown[] = [];
  for (const { duplex } of [near, far]) {
    duplex.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: (error) => closed.push(error) });
  }
  assert.equal(w.network.directory.linkCount, 1);
  const partition = w.network.partition([w.a], [w.b]);
  w.clock.run();
  assert.deepEqual(closed.map((error) => Reflect.get(error as Error, "code")), [
    "CONNECTION_RESET",
    "CONNECTION_RESET",
  ]);
  assert.equal(w.network.directory.linkCount, 0);
  const start = w.clock.now();
  const dial = () => new MemoryTransport(w.a).dial(listener.addresses[0]!, {});
  await assert.rejects(run(w.clock, dial()), { name: "ConnectError", code: "TIMEOUT" });
  assert.equal(w.clock.now(), start + 5000);
  partition.heal();
  assert.ok(await run(w.clock, dial()));
});

test("links that end are forgotten", async () => {
  const w = world();
  const { near, far } = await connect(w);
  for (const { duplex } of [near, far]) {
    duplex.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose() {} });
    duplex.end();
  }
  w.clock.run();
  assert.equal(w.network.directory.linkCount, 0);
});

test("a dial of a host that does not listen is refused", async () => {
  const w = world();
  const dial = new MemoryTransport(w.a).dial("memory:b:1", {});
  await assert.rejects(run(w.clock, dial), {
    code: "CONNECTION_REFUSED",
    message: /Nobody listens at memory:b:1/,
  });
});

test("a discovery finds nobody across a partition", async () => {
  const w = world();
  const topic = new Uint8Array(32);
  const self = { publicKey: new Uint8Array(32), addresses: ["memory:b:1"] };
  await new MemoryDiscovery(w.b).announce(topic, self, {});
  const count = async () => (await Array.fromAsync(new MemoryDiscovery(w.a).lookup(topic, {}))).length;
  assert.equal(await count(), 1);
  const partition = w.network.partition([w.a], [w.b]);
  assert.equal(await count(), 0);
  partition.heal();
  assert.equal(await count(), 1);
  await assert.rejects(new MemoryDiscovery(w.b).announce(new Uint8Array(31), self, {}), RangeError);
});

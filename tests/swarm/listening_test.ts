import assert from "node:assert/strict";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { PeerDiscovery, PeerTransport } from "../../swarm/mod.ts";
import { MemoryDiscovery, MemoryTransport } from "../../transports/memory/mod.ts";
import type { Listener, PeerRecord } from "../../transports/transport.ts";
import { test } from "../harness.ts";
import { assertMesh, inWorld, OTHER_TOPIC, TOPIC, type World } from "./rig.ts";

const SLOW_MS = 5_000;
/** The addresses of each announcement. */
let announced: string[] = [];

/** Finds peers by key, and needs its time before it listens: as a DHT without a network. */
function slow(world: World, outcome: "listens" | "fails"): PeerTransport & PeerDiscovery {
  const wait = () =>
    new Promise<void>((resolve) => world.clock.schedule(world.clock.now() + SLOW_MS, resolve));
  return {
    scheme: "slow",
    addressOf: () => "slow:key",
    dial: () => Promise.reject(new ConnectError("PEER_NOT_FOUND", "not here")),
    async listen(): Promise<Listener> {
      await wait();
      if (outcome === "fails") throw new ConnectError("ADDRESS_UNUSABLE", "no network");
      return { addresses: ["slow:me"], [Symbol.asyncDispose]: () => Promise.resolve() };
    },
    async *lookup() {},
    announce: (_topic, self) => {
      announced.push(self.addresses.join());
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
    },
  };
}

for (const outcome of ["listens", "fails"] as const) {
  test(`a transport that takes its time and ${outcome} keeps nobody from meeting by the others`, () =>
    inWorld(async (world) => {
      announced = [];
      const peers = [0, 1].map(() => {
        const host = world.network.host();
        return world.peer({
          dht: slow(world, outcome),
          transports: [new MemoryTransport(host)],
          discoveries: [new MemoryDiscovery(host)],
        });
      });
      for (const { swarm } of peers) swarm.join(TOPIC);
      await world.run(1_000);
      assertMesh(peers);
      assert.deepEqual(announced, [], "it does not listen yet");
      await world.run(SLOW_MS);
      const failures = peers[0]!.trace.filter(({ what }) => what === "listen failed");
      if (outcome === "fails") {
        assert.deepEqual(announced, []);
        assert.equal(failures[0]!.data["scheme"], "slow");
      } else {
        assert.match(announced[0] ?? "", /^memory:.*,slow:me$/);
        assert.deepEqual(failures, []);
      }
    }));
}

test("who asks for the whole record waits for all transports that can listen, and one is enough", () =>
  inWorld(async (world) => {
    const memory = () => new MemoryTransport(world.network.host());
    const [a, b] = (["listens", "fails"] as const).map((outcome) =>
      world.peer({ dht: slow(world, outcome), transports: [memory()] })
    );
    const schemesOf = ({ addresses }: PeerRecord) => addresses.map((address) => address.split(":")[0]);
    assert.deepEqual(schemesOf(await world.until(a!.swarm.listen())), ["memory", "slow"]);
    assert.deepEqual(schemesOf(await world.until(b!.swarm.listen())), ["memory"]);
    const closing = world.peer({ dht: slow(world, "listens"), transports: [], discoveries: [] });
    const asking = closing.swarm.listen();
    asking.catch(() => {});
    await world.run(100);
    void closing.swarm.close();
    await assert.rejects(world.until(asking), { code: "CONNECTION_CLOSED" });
    const lonely = world.peer({ dht: slow(world, "fails"), transports: [], discoveries: [] });
    await assert.rejects(world.until(lonely.swarm.listen()), { code: "ADDRESS_UNUSABLE" });
  }));

test("what is announced after a change of the network names the addresses of then", () =>
  inWorld(async (world) => {
    const host = world.network.host();
    const memory = new MemoryTransport(host);
    const names: string[] = [];
    let address = "moving:1";
    const moving: PeerTransport = {
      scheme: "moving",
      dial: (to, options) => memory.dial(to, options),
      listen: () =>
        Promise.resolve({
          get addresses() {
            return [address];
          },
          [Symbol.asyncDispose]: () => Promise.resolve(),
        }),
    };
    const discovery: PeerDiscovery = {
      async *lookup() {},
      announce: (_topic, { addresses }) => {
        names.push(...addresses);
        return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
      },
    };
    const { swarm } = world.peer({ transports: [moving], discoveries: [discovery] });
    swarm.join(OTHER_TOPIC, { client: false });
    await world.run(1_000);
    address = "moving:2";
    swarm.networkChanged();
    await world.run(1_000);
    assert.deepEqual(names, ["moving:1", "moving:2"]);
  }));

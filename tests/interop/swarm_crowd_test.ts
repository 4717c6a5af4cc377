/** Many swarms of both kinds at once: everybody meets everybody, once, or as many as may be. */
import assert from "node:assert/strict";
import { fromHex } from "../../encoding/text.ts";
import { test as register } from "../harness.ts";
import { eventually } from "./dht_rig.ts";
import {
  type OurSwarm,
  pause,
  type SeenConnection,
  SwarmRig,
  type TheirSwarm,
  topicOf,
} from "./swarm_rig.ts";
import { skip } from "./udx_support.ts";

function test(name: string, body: (rig: SwarmRig) => Promise<void>): void {
  register(`swarm interop: ${name}`, async () => {
    await using rig = await SwarmRig.open();
    await body(rig);
  }, { skip });
}

type AnySwarm = OurSwarm | TheirSwarm;

/** How many swarms of each kind there are in a crowd. */
const CROWD = 10;

/** The hashes of the connections of each swarm, by the key of the other end. */
async function connectionsOf(swarms: readonly AnySwarm[]): Promise<Map<string, readonly SeenConnection[]>> {
  const all = new Map<string, readonly SeenConnection[]>();
  await Promise.all(swarms.map(async (one) => all.set(one.key, await one.connections())));
  return all;
}

/** Says what keeps a crowd from being whole: everybody has one connection to each other, and both ends have the same one. */
async function flawsOf(swarms: readonly AnySwarm[]): Promise<string[]> {
  const all = await connectionsOf(swarms);
  const flaws: string[] = [];
  for (const [i, a] of swarms.entries()) {
    for (const b of swarms.slice(i + 1)) {
      const near = all.get(a.key)!.filter(({ remoteKey }) => remoteKey === b.key);
      const far = all.get(b.key)!.filter(({ remoteKey }) => remoteKey === a.key);
      const isOne = near.length === 1 && far.length === 1 && near[0]!.hash === far[0]!.hash;
      if (!isOne) {
        flaws.push(`${a.constructor.name} and ${b.constructor.name}: ${near.length}, ${far.length}`);
      }
    }
  }
  return flaws;
}

async function untilWhole(swarms: readonly AnySwarm[]): Promise<void> {
  let flaws: string[] = [];
  await eventually(async () => (flaws = await flawsOf(swarms)).length === 0, 40)
    .catch(() => assert.deepEqual(flaws, []));
}

test("W5 of 10 swarms of ours and 10 of theirs under one topic, each meets each, once", async (rig) => {
  const ours = await Promise.all(Array.from({ length: CROWD }, () => rig.ours()));
  const theirs = await Promise.all(Array.from({ length: CROWD }, () => rig.theirs()));
  // Those of the reference come one after the other, because two that come at once may not see each other for ten minutes.
  const joining = ours.map(async ({ swarm }, i) => {
    await pause(100 * i);
    swarm.join(topicOf(1));
  });
  for (const one of theirs) await one.ask("join", { topic: 1, flushes: true });
  await Promise.all(joining);
  const all = [...ours, ...theirs];
  await untilWhole(all);
  const before = await connectionsOf(all);
  await pause(2_000);
  assert.deepEqual(await flawsOf(all), []);
  assert.deepEqual(await connectionsOf(all), before, "and all of it stays");
});

test("W5 when both dial at the same moment, both keep the same connection", async (rig) => {
  const pairs = await Promise.all(Array.from({ length: 8 }, async () => {
    const [ours, theirs] = [await rig.ours(), await rig.theirs()];
    await Promise.all([ours.swarm.listen(), theirs.ask("listen")]);
    return { ours, theirs };
  }));
  for (let round = 0; round < 4; round++) {
    await Promise.all(pairs.map(async ({ ours, theirs }) => {
      // The child's turn takes a moment: sometimes the one, sometimes the other is ahead.
      const asking = theirs.ask("joinPeer", { publicKey: ours.key });
      if (round % 2 === 1) await asking;
      ours.swarm.joinPeer(fromHex(theirs.key));
      await asking;
    }));
    for (const { ours, theirs } of pairs) await untilWhole([ours, theirs]);
    const held = await connectionsOf(pairs.map(({ ours }) => ours));
    await pause(500);
    for (const { ours, theirs } of pairs) assert.deepEqual(await flawsOf([ours, theirs]), []);
    assert.deepEqual(await connectionsOf(pairs.map(({ ours }) => ours)), held, "and it stays");
    await Promise.all(pairs.map(async ({ ours, theirs }) => {
      ours.swarm.leavePeer(fromHex(theirs.key));
      await theirs.ask("leavePeer", { publicKey: ours.key });
      for (const connection of ours.swarm.connections.keys()) connection.abort();
      // If the one packet that says so is lost, they speak again after 5 s and give up 13 s later.
      await eventually(async () => (await theirs.connections()).length === 0, 30);
    }));
  }
});

test("W3 a swarm of either side dials no more peers than it may", async (rig) => {
  const [ours, theirs] = [
    await rig.ours({ maxPeers: 3 }),
    await rig.theirs({ maxPeers: 3 }),
  ];
  const server = { server: true, client: false };
  const client = { server: false, client: true };
  for (let i = 0; i < 5; i++) {
    await (await rig.theirs()).ask("join", { topic: 2, flushes: true, ...server });
    await (await rig.ours()).swarm.join(topicOf(3), server).flushed();
  }
  ours.swarm.join(topicOf(2), client);
  await theirs.ask("join", { topic: 3, flushes: true, ...client });
  const counts = async () => [ours.connections().length, (await theirs.connections()).length];
  await eventually(async () => (await counts()).every((count) => count === 3));
  await pause(1_500);
  assert.deepEqual(await counts(), [3, 3]);
});

test("W3 a swarm of ours takes no more dials of the reference than it may, and has room again later", async (rig) => {
  const ours = await rig.ours({ maxServerConnections: 3 });
  await ours.swarm.join(topicOf(4), { client: false }).flushed();
  const all: TheirSwarm[] = [];
  for (let i = 0; i < 5; i++) {
    all.push(await rig.theirs());
    await all[i]!.ask("join", { topic: 4, server: false });
  }
  await eventually(() => ours.connections().length === 3 && ours.swarm.stats.connects.server.refused > 0);
  await pause(1_000);
  assert.equal(ours.connections().length, 3);
  const taken = all.find(({ key }) => ours.has(key))!;
  await taken.ask("destroy");
  // Whoever was refused comes again: hyperswarm after a second, then after five and fifteen.
  await eventually(() => !ours.has(taken.key) && ours.connections().length === 3, 30);
});

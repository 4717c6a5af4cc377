/** Swarms of ours and of the reference, two by two: how they meet, part and find each other again. */
import assert from "node:assert/strict";
import { fromHex } from "../../encoding/text.ts";
import { test as register } from "../harness.ts";
import { eventually } from "./dht_rig.ts";
import { type OurSwarm, pause, SwarmRig, type TheirSwarm, topicOf } from "./swarm_rig.ts";
import { skip } from "./udx_support.ts";

function test(name: string, body: (rig: SwarmRig) => Promise<void>): void {
  register(`swarm interop: ${name}`, async () => {
    await using rig = await SwarmRig.open();
    await body(rig);
  }, { skip });
}

/** Waits until both have one connection, the same, to each other. */
async function untilMet(ours: OurSwarm, theirs: TheirSwarm): Promise<void> {
  await eventually(async () => {
    const far = (await theirs.connections()).filter(({ remoteKey }) => remoteKey === ours.key);
    const near = ours.connections().filter(({ remoteKey }) => remoteKey === theirs.key);
    return near.length === 1 && far.length === 1 && near[0]!.hash === far[0]!.hash;
  });
}

/** Waits until neither is connected to the other. */
async function untilApart(ours: OurSwarm, theirs: TheirSwarm): Promise<void> {
  await eventually(async () => !ours.has(theirs.key) && !(await theirs.has(ours.key)));
}

for (const channels of [false, true]) {
  const how = channels ? "on channels, beside the proof of topics" : "by bare messages";
  test(`W1 both meet under a topic, whoever comes first, and talk ${how}`, async (rig) => {
    for (const [topic, isOursFirst] of [[1, true], [2, false]] as const) {
      const theirs = await rig.theirs({ usesChannels: channels });
      const ours = await rig.ours({ channels });
      const join = () => ours.swarm.join(topicOf(topic)).flushed();
      if (isOursFirst) await join();
      await theirs.ask("join", { topic, flushes: !isOursFirst });
      if (!isOursFirst) await join();
      await eventually(async () =>
        ours.heard.length > 0 && (await theirs.seen()).heard[ours.key] !== undefined
      );
      assert.equal(ours.heard.at(-1), "hello");
      assert.equal((await theirs.seen()).heard[ours.key], "hello");
      await pause(500);
      await untilMet(ours, theirs);
      assert.equal(ours.swarm.connections.size, 1);
      await ours.swarm.leave(topicOf(topic));
    }
  });
}

test("W2 pairs that join at the same moment all meet, though the reference has looked too early", async (rig) => {
  const pairs = await Promise.all(Array.from({ length: 6 }, async (_, i) => {
    return { topic: 10 + i, ours: await rig.ours(), theirs: await rig.theirs() };
  }));
  await Promise.all(pairs.map(async ({ topic, ours, theirs }) => {
    ours.swarm.join(topicOf(topic));
    await theirs.ask("join", { topic });
    await untilMet(ours, theirs);
  }));
});

test("W1 servers and clients of both kinds meet, two of a sort do not", async (rig) => {
  const roles = [{ server: true, client: false }, { server: false, client: true }];
  const cases = roles.flatMap((mine) => roles.map((yours) => ({ mine, yours })));
  await Promise.all(cases.map(async ({ mine, yours }, i) => {
    const [ours, theirs] = [await rig.ours(), await rig.theirs()];
    const join = () => ours.swarm.join(topicOf(20 + i), mine).flushed();
    // The client comes second: hyperswarm looks once and then not for ten minutes.
    if (mine.server) await join();
    await theirs.ask("join", { topic: 20 + i, flushes: true, ...yours });
    if (!mine.server) await join();
    if (mine.server === yours.server) {
      await pause(1_500);
      await untilApart(ours, theirs);
      assert.deepEqual(ours.peers, []);
    } else {
      await untilMet(ours, theirs);
      assert.equal(ours.connections()[0]!.isInitiator, mine.client, "the client has dialed");
    }
  }));
});

test("W6 joinPeer finds a peer by its key alone, from either side, and again after a loss", async (rig) => {
  for (const weDial of [true, false]) {
    const [ours, theirs] = [await rig.ours(), await rig.theirs()];
    if (weDial) {
      await theirs.ask("listen");
      ours.swarm.joinPeer(fromHex(theirs.key));
    } else {
      await ours.swarm.listen();
      await theirs.ask("joinPeer", { publicKey: ours.key });
    }
    await untilMet(ours, theirs);
    assert.equal(ours.connections()[0]!.isInitiator, weDial);
    const { hash } = ours.connections()[0]!;
    if (weDial) await theirs.ask("drop", { publicKey: ours.key });
    else [...ours.swarm.connections.keys()][0]!.abort();
    await eventually(() => ours.connections().some((one) => one.hash !== hash));
    await untilMet(ours, theirs);

    if (weDial) ours.swarm.leavePeer(fromHex(theirs.key));
    else await theirs.ask("leavePeer", { publicKey: ours.key });
    assert.ok(ours.has(theirs.key), "a connection stays");
    if (weDial) await theirs.ask("drop", { publicKey: ours.key });
    else [...ours.swarm.connections.keys()][0]!.abort();
    await untilApart(ours, theirs);
    await pause(2_000);
    await untilApart(ours, theirs);
  }
});

test("W1 who leaves is not found any more, and keeps its connections; who goes ends them", async (rig) => {
  const [ours, theirs] = [await rig.ours(), await rig.theirs()];
  await ours.swarm.join(topicOf(40)).flushed();
  await theirs.ask("join", { topic: 40, flushes: true });
  await untilMet(ours, theirs);
  await ours.swarm.leave(topicOf(40));
  await theirs.ask("leave", { topic: 40 });
  const [lateOurs, lateTheirs] = [await rig.ours(), await rig.theirs()];
  await lateTheirs.ask("join", { topic: 40, flushes: true, server: false });
  await lateOurs.swarm.join(topicOf(40), { server: false }).flushed();
  await pause(1_000);
  assert.deepEqual(lateOurs.connections(), []);
  assert.deepEqual(await lateTheirs.connections(), []);
  await untilMet(ours, theirs);

  await theirs.ask("destroy");
  await eventually(() => !ours.has(theirs.key));
  await lateTheirs.ask("joinPeer", { publicKey: ours.key });
  await untilMet(ours, lateTheirs);
  await ours.swarm.close();
  await eventually(async () => !(await lateTheirs.has(ours.key)));
});

test("W7 who is kept out by a firewall of either side is not connected, and dialed no more", async (rig) => {
  const victim = await rig.ours();
  const strict = await rig.theirs({ denies: [victim.key] });
  const suspect = await rig.theirs();
  const guarded = await rig.ours({
    firewall: (key) => key.every((byte, i) => byte === fromHex(suspect.key)[i]),
  });
  await victim.swarm.join(topicOf(50)).flushed();
  await strict.ask("join", { topic: 50, flushes: true });
  await guarded.swarm.join(topicOf(51)).flushed();
  await suspect.ask("join", { topic: 51, flushes: true });
  await eventually(async () => (await strict.seen()).bans === 1 && guarded.swarm.stats.bannedPeers === 1);
  await pause(1_500);
  await untilApart(victim, strict);
  await untilApart(guarded, suspect);
  assert.deepEqual([victim.peers, guarded.peers], [[], []]);
  assert.deepEqual((await suspect.seen()).peers, []);

  // A ban of somebody who is connected already.
  const [ours, theirs] = [await rig.ours(), await rig.theirs()];
  await ours.swarm.join(topicOf(52)).flushed();
  await theirs.ask("join", { topic: 52, flushes: true });
  await untilMet(ours, theirs);
  ours.swarm.ban(fromHex(theirs.key));
  await untilApart(ours, theirs);
  await theirs.ask("joinPeer", { publicKey: ours.key });
  await pause(2_000);
  await untilApart(ours, theirs);
});

test("W11 who has slept is found again, whichever side it was", async (rig) => {
  for (const weSleep of [true, false]) {
    const [ours, theirs] = [await rig.ours(), await rig.theirs()];
    const topic = weSleep ? 60 : 61;
    await ours.swarm.join(topicOf(topic)).flushed();
    await theirs.ask("join", { topic, flushes: true });
    await untilMet(ours, theirs);
    if (weSleep) await ours.swarm.suspend();
    else await theirs.ask("suspend");
    await untilApart(ours, theirs);
    await pause(500);
    if (weSleep) await ours.swarm.resume();
    else await theirs.ask("resume");
    await untilMet(ours, theirs);
  }
});

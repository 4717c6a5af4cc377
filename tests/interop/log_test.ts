/**
 * Logs of ours and of both generations of hypercore, one writing and the other reading:
 *
 *     Hypercore of ours  <-- secret stream over TCP on loopback -->  hypercore 10 or 11 in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import process from "node:process";
import { raw } from "../../encoding/raw.ts";
import { test } from "../harness.ts";
import { assertSame, blocks, CASES, type Sides } from "./log_cases.ts";
import { playAtRandom } from "./log_operations.ts";
import { type DrivenPeer, GENERATIONS, LogRig, skip } from "./log_rig.ts";
import { OurPeer, OurStore } from "./our_logs.ts";

/** The writer listens, the reader dials; who speaks first is another matter. */
function sidesOf(writer: DrivenPeer, reader: DrivenPeer, isWriterInitiator: boolean): Sides {
  return {
    ...{ writer, reader },
    async meet(ofWriter, ofReader) {
      const port = await writer.listen(ofWriter, isWriterInitiator);
      return await reader.connect(port, ofReader, !isWriterInitiator);
    },
  };
}

for (const generation of GENERATIONS) {
  for (const [title, play] of Object.entries(CASES)) {
    for (const isInitiator of [true, false]) {
      const role = isInitiator ? "initiator" : "responder";
      const writing = async () => {
        await using rig = new LogRig();
        await play(sidesOf(rig.add(new OurPeer()), rig.theirs(generation), isInitiator));
      };
      test(`log: ${title}: hypercore ${generation} reads what we write as ${role}`, writing, { skip });

      const reading = async () => {
        await using rig = new LogRig();
        await play(sidesOf(rig.theirs(generation), rig.add(new OurPeer()), !isInitiator));
      };
      test(`log: ${title}: we read as ${role} what hypercore ${generation} writes`, reading, { skip });
    }
  }
}

type Side = "ours" | 10 | 11;

/** Lists of random operations for each crowd. */
const SEEDS = process.env["HYPHA_LONG"] === "1" ? 6 : 2;

/** Who writes and who reads, and what is done. */
interface Crowd {
  readonly writer: Side;
  readonly readers: readonly Side[];
  readonly isForking: boolean;
  readonly isClearing?: boolean;
}

/**
 * Left out: what the reference cannot do with itself. See `log_rig_test.ts`; and a hypercore 11 that has cleared blocks of its own
 * and hears of a hole before them does not fetch them again, whoever the writer is.
 */
const CROWDS: readonly Crowd[] = [
  { writer: "ours", readers: [11], isForking: true },
  { writer: "ours", readers: [10, "ours", "ours"], isForking: false, isClearing: true },
  { writer: "ours", readers: [10, "ours", 11], isForking: false },
  { writer: "ours", readers: [11, "ours", 11, "ours", 11], isForking: true },
  { writer: 11, readers: ["ours"], isForking: true },
  { writer: 11, readers: ["ours", 10, "ours", 11, "ours"], isForking: true },
  { writer: 10, readers: ["ours", 11, "ours"], isForking: false },
  { writer: "ours", readers: ["ours", "ours"], isForking: true, isClearing: true },
];

for (const { writer, readers, isForking, isClearing = false } of CROWDS) {
  const run = async () => {
    await using rig = new LogRig();
    const peerOf = (who: Side) => who === "ours" ? rig.add(new OurPeer()) : rig.theirs(who);
    const peers = [writer, ...readers].map(peerOf);
    for (let seed = 0; seed < SEEDS; seed++) {
      const plan = { seed, readers: readers.length, operations: 60, isForking, isClearing };
      const lost = await playAtRandom(plan, peers[0]!, peers.slice(1));
      if (writer === "ours") assert.equal(lost, 0, "a connection with ours was lost");
    }
  };
  const what = isForking
    ? isClearing ? "with forks and holes" : "with forks"
    : isClearing
    ? "with holes"
    : "without forks";
  test(`log: what is done at random to ${writer}, ${what}, reaches ${readers.join(", ")}`, run, { skip });
}

for (const generation of GENERATIONS) {
  test(
    `log: a store of ours and one of generation ${generation} show each other what both know`,
    async () => {
      await using rig = new LogRig();
      const theirs = rig.theirs(generation);
      const [peer, far] = [rig.add(new OurPeer()), await theirs.store({ primaryKey: "06".repeat(32) })];
      const near = await OurStore.open(peer, new Uint8Array(32).fill(5));
      const [ofOurs, ofTheirs] = [await near.get({ name: "a" }), await far.get({ name: "b" })];
      await ofOurs.append(blocks(0, 30));
      await ofTheirs.append(blocks(50, 20));
      await far.connect(await near.listen());
      await assertSame(ofOurs, await far.get({ key: ofOurs.key }));
      await assertSame(ofTheirs, await near.get({ key: ofTheirs.key }));
      assert.equal(await (await near.get({ key: ofTheirs.key })).get(0), await ofTheirs.get(0));
    },
    { skip },
  );

  test(`log: applications on a log of ours and of generation ${generation} talk to each other`, async () => {
    await using rig = new LogRig();
    const [peer, theirs] = [rig.add(new OurPeer()), rig.theirs(generation)];
    const log = await peer.open({ seed: 1 });
    await log.append(blocks(0, 3));
    const copy = await theirs.open({ key: log.key });
    const heard = Promise.withResolvers<string>();
    const extension = log.core.registerExtension("greeting", {
      codec: raw.string,
      onMessage: heard.resolve,
    });
    await copy.ask("extension", { extension: "greeting" });
    await theirs.connect(await peer.listen([log]), [copy]);
    await assertSame(log, copy);
    extension.broadcast("hello");
    assert.equal((await theirs.next("extension")).text, "hello");
    await copy.ask("say", { extension: "greeting", text: "hello yourself" });
    assert.equal(await heard.promise, "hello yourself");
  }, { skip });
}

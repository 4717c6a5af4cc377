/**
 * Logs of ours and of both generations of hypercore that meet in a swarm, over loopback:
 *
 *     Hypercore and Swarm of ours  <-- UDP -->  testnet of the reference  <-- UDP -->  hypercore and hyperswarm in Node
 */
import { test } from "../harness.ts";
import { casesWith, inSwarm } from "./log_cases.ts";
import { GENERATIONS } from "./driven_logs.ts";
import { isLong, LogRig, skip } from "./log_rig.ts";
import { OurPeer } from "./our_logs.ts";

for (const generation of GENERATIONS) {
  for (const [n, [title, play]] of casesWith(generation).entries()) {
    for (const isInitiator of [true, false]) {
      for (const isWriter of [true, false]) {
        // Each case in either role, once as the writer and once as the reader.
        if (!isLong && (n % 2 === 0) !== (isInitiator === isWriter)) continue;
        const role = isInitiator ? "initiator" : "responder";
        const what = isWriter
          ? `hypercore ${generation} reads what we write as ${role}`
          : `we read as ${role} what hypercore ${generation} writes`;
        const run = async () => {
          await using rig = new LogRig();
          const theirs = rig.theirs(generation);
          const ours = rig.add(new OurPeer(isWriter ? "sqlite" : "memory"));
          const port = await theirs.testnet();
          const [writer, reader] = isWriter ? [ours, theirs] : [theirs, ours];
          await play(inSwarm(writer, reader, port, isInitiator === isWriter));
        };
        test(`log: in a swarm, ${title}: ${what}`, run, { skip });
      }
    }
  }
}

/** What hypha on Node and others must be able to do with each other: see `log_node_test.ts`. */
import { test } from "../harness.ts";
import { type Case, casesWith, inSwarm, overTcp } from "./log_cases.ts";
import type { DrivenPeer, Generation } from "./driven_logs.ts";
import { isLong, LogRig, skipOnNode as skip } from "./log_rig.ts";
import { OurPeer } from "./our_logs.ts";

/** Whom Node talks to: a generation of the reference, or ours in this process. */
type Other = Generation | "ours";

/** The cases that are always played in a swarm. */
const IN_SWARM = ["encrypted", "forked and reorged", "conflict"];

const nameOf = (other: Other) => other === "ours" ? "hypha on Deno" : `hypercore ${other}`;
const peerOf = (rig: LogRig, other: Other): DrivenPeer =>
  other === "ours" ? rig.add(new OurPeer()) : rig.theirs(other);

/** Registers all that is played with `other`. */
export function testNodeBeside(other: Other): void {
  for (const [title, play] of casesWith(other)) {
    for (const isInitiator of [true, false]) {
      for (const isWriter of [true, false]) {
        // In each role once, if not in all ways.
        if (!isLong && isInitiator !== isWriter) continue;
        const role = isInitiator ? "initiator" : "responder";
        const what = isWriter
          ? `${nameOf(other)} reads what Node writes as ${role}`
          : `Node reads as ${role} what ${nameOf(other)} writes`;
        const run = () => meet(play, { other, isWriter, isInitiator, isInSwarm: false });
        test(`log: ${title}: ${what}`, run, { skip });
        if (!isLong && !IN_SWARM.includes(title)) continue;
        const runInSwarm = () => meet(play, { other, isWriter, isInitiator, isInSwarm: true });
        test(`log: in a swarm, ${title}: ${what}`, runInSwarm, { skip });
      }
    }
  }
}

interface Meeting {
  readonly other: Other;
  readonly isWriter: boolean;
  readonly isInitiator: boolean;
  readonly isInSwarm: boolean;
}

async function meet(play: Case, { other, isWriter, isInitiator, isInSwarm }: Meeting): Promise<void> {
  await using rig = new LogRig();
  const port = isInSwarm ? await rig.theirs(11).testnet() : undefined;
  const [node, peer] = [rig.onNode(isWriter ? "sqlite" : "memory"), peerOf(rig, other)];
  const [writer, reader] = isWriter ? [node, peer] : [peer, node];
  const isWriterInitiator = isInitiator === isWriter;
  if (port === undefined) await play(overTcp(writer, reader, isWriterInitiator));
  else await play(inSwarm(writer, reader, port, isWriterInitiator));
}

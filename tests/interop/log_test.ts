/**
 * Logs of ours and of both generations of hypercore, one writing and the other reading:
 *
 *     Hypercore of ours  <-- secret stream over TCP on loopback -->  hypercore 10 or 11 in Node  <-- JSON lines
 */
import { test } from "../harness.ts";
import { CASES, type Sides } from "./log_cases.ts";
import { type DrivenPeer, GENERATIONS, LogRig, skip } from "./log_rig.ts";
import { OurPeer } from "./our_logs.ts";

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

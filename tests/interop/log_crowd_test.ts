/**
 * What a writer and its readers do at random, all of it from a seed: logs of ours and of both generations of hypercore, over TCP
 * and in a swarm.
 */
import { test } from "../harness.ts";
import { type Crowd, playCrowd, titleOf } from "./log_crowds.ts";
import { isLong, skip } from "./log_rig.ts";

/** Lists of random operations for each crowd. */
const SEEDS = isLong ? 6 : 2;

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

for (const [n, crowd] of CROWDS.entries()) {
  test(`log: ${titleOf(crowd)}`, () => playCrowd(crowd, { seeds: SEEDS, n }), { skip });
}

const SWARMS: readonly Crowd[] = [
  { writer: "ours", readers: [11, "ours"], isForking: true },
  { writer: 11, readers: ["ours", "ours"], isForking: true },
  { writer: "ours", readers: [10, "ours"], isForking: false },
  { writer: 10, readers: ["ours"], isForking: false },
];

for (const [n, crowd] of SWARMS.entries()) {
  const play = () => playCrowd(crowd, { seeds: isLong ? 3 : 1, n, operations: 40, isSwarm: true });
  test(`log: in a swarm, ${titleOf(crowd)}`, play, { skip });
}

/** What a writer and its readers do at random where hypha on Node is one of them, as in `log_crowd_test.ts`. */
import { test } from "../harness.ts";
import { type Crowd, playCrowd, titleOf } from "./log_crowds.ts";
import { isLong, skipOnNode as skip } from "./log_rig.ts";

/** Lists of random operations for each crowd. */
const SEEDS = isLong ? 6 : 1;

const CROWDS: readonly Crowd[] = [
  { writer: "node", readers: [11, "ours", "node"], isForking: true },
  { writer: "node", readers: [10, "node"], isForking: false, isClearing: true },
  { writer: 11, readers: ["node", "ours", 10, "node", 11], isForking: true },
  { writer: 10, readers: ["node", "ours"], isForking: false },
  { writer: "ours", readers: ["node"], isForking: true, isClearing: true },
];

for (const [n, crowd] of CROWDS.entries()) {
  test(`log: ${titleOf(crowd)}`, () => playCrowd(crowd, { seeds: SEEDS, n }), { skip });
}

const SWARMS: readonly Crowd[] = [
  { writer: "node", readers: ["ours", 11], isForking: true },
  { writer: 11, readers: ["node", "ours"], isForking: true },
];

for (const [n, crowd] of SWARMS.entries()) {
  const play = () => playCrowd(crowd, { seeds: isLong ? 3 : 1, n, operations: 40, isSwarm: true });
  test(`log: in a swarm, ${titleOf(crowd)}`, play, { skip });
}

/** All scenarios that `deno task sim` knows. */
import type { Scenario } from "../scenario.ts";
import { clocks } from "./clocks.ts";
import { dht, eclipse, scale } from "./dht.ts";
import { floods } from "./floods.ts";
import { leaks } from "./leaks.ts";
import { nat } from "./nat.ts";
import { partitions } from "./partitions.ts";
import { swarms } from "./swarms.ts";
import { worlds } from "./worlds.ts";

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  worlds,
  nat,
  dht,
  eclipse,
  partitions,
  clocks,
  swarms,
  floods,
  leaks,
  scale,
];

/** Bytes over UDX and secret streams while everything breaks: see `../world.ts`. */
import type { Scenario } from "../scenario.ts";
import { runWorld } from "../world.ts";

/** See the head of the file. */
export const worlds: Scenario = {
  name: "worlds",
  what: "UDX and secret streams under faults: all bytes arrive, once, and nothing is left",
  seeds: 50,
  run: runWorld,
};

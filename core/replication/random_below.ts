/** Choosing a block of a log that may have more than 2^32 of them. */
import type { Random } from "../runtime/runtime.ts";

const TWO_32 = 2 ** 32;

/** A whole number from 0 up to but without `bound`, which is at most 2^52. Exactly uniform up to 2^32, nearly so beyond. */
export function randomBelow(random: Random, bound: number): number {
  if (bound <= TWO_32) return random.below(bound);
  const fraction = (random.below(2 ** 20) * TWO_32 + random.uint32()) / 2 ** 52;
  return Math.min(bound - 1, Math.floor(fraction * bound));
}

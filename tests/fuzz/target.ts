/**
 * What the fuzzer runs: a decoder or a machine as a function of bytes from a stranger.
 *
 * Each folder of sources has one file `<folder>_targets.ts` here that exports `targets: readonly FuzzTarget[]`.
 * A target finds nothing when it returns or throws an expected error; anything else thrown is a crash, and an input that
 * takes far longer or more memory than its size explains is a hang or a leak.
 */

/** One thing to fuzz. */
export interface FuzzTarget {
  /**
   * The export that it covers; if there are several targets for one, a colon and a word follow: `uint`, `SecretMachine:responder`.
   */
  readonly name: string;
  /** Further exports that it exercises, and that therefore need no target of their own. */
  readonly covers?: readonly string[];
  /** Valid inputs: what mutations start from. At least one. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Feeds `input`, which the target may change and must not keep. Synchronous, and the same for the same bytes. A text that it
   * returns tells kinds of outcomes apart: inputs of a new kind are mutated further.
   */
  run(input: Uint8Array): unknown;
  /** Whether a stranger may cause this error; by default, whether it is a `DecodeError`. */
  expected?(error: unknown): boolean;
}

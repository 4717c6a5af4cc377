/**
 * What `deno task sim` runs: a scenario is a simulated network and what must hold in it, as a function of a seed. The runner takes
 * seeds one after the other, prints what did not hold with the command that shows it again, and sums the figures up.
 */

/** What the command line says: the values of a scenario's own options. */
export type SimOptions = Readonly<Record<string, string | undefined>>;

/** What one run came to. */
export interface Outcome {
  /** What did not hold; empty if all did. */
  readonly complaints: readonly string[];
  /** All that the seed decided, for a person. */
  readonly description?: string;
  /** The same for every run of the same seed: what happened in the network, datagram by datagram. */
  readonly hash: number;
  /** Virtual milliseconds until the end. */
  readonly elapsedMs: number;
  /** Datagrams that were sent. */
  readonly datagrams: number;
  /** Measurements by name, unit included; of those of all runs the runner prints number, median and maximum. */
  readonly figures?: Readonly<Record<string, readonly number[]>>;
}

/** A kind of simulated network. */
export interface Scenario {
  /** What the command line calls it. */
  readonly name: string;
  /** What happens in it and what must hold, in a line. */
  readonly what: string;
  /** Seeds of a run that names no other number: the short form. 0 = only when it is named. */
  readonly seeds: number;
  /** Options of its own, with a line about each. */
  readonly options?: Readonly<Record<string, string>>;
  /** Runs one seed to its end. */
  run(seed: string, options: SimOptions): Promise<Outcome>;
  /** Says more than the sum of the figures, after all seeds. */
  conclude?(outcomes: readonly Outcome[], options: SimOptions): void;
}

/** The hashes of several networks as one. */
export function combineHashes(hashes: Iterable<number>): number {
  let combined = 0x811c9dc5;
  for (const hash of hashes) combined = Math.imul(combined ^ hash, 0x01000193) >>> 0;
  return combined;
}

/** The middle of `values`; of none, `NaN`. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/**
 * What one direction of a link does to packets, as values. Every probability is a ratio of integers, so that each machine
 * decides alike.
 */

/** A probability: numerator and denominator, integers. `[1, 20]` is 5 %. */
export type Ratio = readonly [numerator: number, denominator: number];

/**
 * Loss in bursts, by the model of Gilbert and Elliott (E. O. Elliott, "Estimates of Error Rates for Codes on Burst-Noise
 * Channels", 1963): a good and a bad state, and a chance to change between them before each packet. In the good state only
 * {@linkcode LinkConditions.loss} applies.
 */
export interface BurstLoss {
  /** The chance to go from good to bad. */
  readonly enter: Ratio;
  /** The chance to go from bad to good; its reverse is the mean length of a burst in packets. */
  readonly leave: Ratio;
  /** The chance that a packet is lost while the state is bad; certain by default. */
  readonly loss?: Ratio;
}

/** What one direction of a link does; what is left out does not happen. */
export interface LinkConditions {
  /** Time from end to end, in milliseconds. */
  readonly latencyMs?: number;
  /** Adds 0 to this many milliseconds to each packet, evenly distributed. Alone it keeps packets in order. */
  readonly jitterMs?: number;
  /** The chance that a packet is lost, each on its own. */
  readonly loss?: Ratio;
  /** Loss in bursts. */
  readonly burstLoss?: BurstLoss;
  /** The chance that a packet is late and others overtake it. */
  readonly reorder?: Ratio;
  /** How late it is at most, in milliseconds; 10 by default. It is late by at least a quarter of that. */
  readonly reorderMs?: number;
  /** The chance that a packet arrives twice. */
  readonly duplicate?: Ratio;
  /** The rate in bytes per second, counted with the IP and UDP headers. */
  readonly bytesPerSecond?: number;
  /** Bytes that wait for their turn at most when there is a rate; what comes on top is lost. 64 KiB by default. */
  readonly queueBytes?: number;
  /** The longest packet in bytes, counted with the IP and UDP headers; 1500 by default. Longer ones are lost. */
  readonly mtuBytes?: number;
}

/** {@linkcode LinkConditions} with every choice made. */
export interface LinkConfig {
  readonly latencyMs: number;
  readonly jitterUs: number;
  readonly loss: Ratio | undefined;
  readonly burstLoss: Required<BurstLoss> | undefined;
  readonly reorder: Ratio | undefined;
  readonly reorderUs: number;
  readonly duplicate: Ratio | undefined;
  readonly bytesPerMs: number;
  readonly queueBytes: number;
  readonly mtuBytes: number;
}

const DEFAULT_QUEUE_BYTES = 65_536;
const DEFAULT_MTU_BYTES = 1500;
const DEFAULT_REORDER_MS = 10;

/** Completes `conditions`. @throws {RangeError} if a value makes no sense. */
export function resolveConditions(conditions: LinkConditions): LinkConfig {
  const { burstLoss } = conditions;
  const bytesPerSecond = conditions.bytesPerSecond ?? Infinity;
  if (!(bytesPerSecond > 0)) {
    throw new RangeError(`bytesPerSecond must be above 0, not ${bytesPerSecond}; to cut a link set isDown`);
  }
  return {
    latencyMs: notNegative("latencyMs", conditions.latencyMs ?? 0),
    jitterUs: Math.round(notNegative("jitterMs", conditions.jitterMs ?? 0) * 1000),
    loss: ratio("loss", conditions.loss),
    burstLoss: burstLoss === undefined ? undefined : {
      enter: checkRatio("burstLoss.enter", burstLoss.enter),
      leave: checkRatio("burstLoss.leave", burstLoss.leave),
      loss: checkRatio("burstLoss.loss", burstLoss.loss ?? [1, 1]),
    },
    reorder: ratio("reorder", conditions.reorder),
    reorderUs: Math.round(notNegative("reorderMs", conditions.reorderMs ?? DEFAULT_REORDER_MS) * 1000),
    duplicate: ratio("duplicate", conditions.duplicate),
    bytesPerMs: bytesPerSecond / 1000,
    queueBytes: notNegative("queueBytes", conditions.queueBytes ?? DEFAULT_QUEUE_BYTES),
    mtuBytes: notNegative("mtuBytes", conditions.mtuBytes ?? DEFAULT_MTU_BYTES),
  };
}

function notNegative(name: string, value: number): number {
  if (!(value >= 0)) throw new RangeError(`${name} must be 0 or more, not ${value}`);
  return value;
}

/** A ratio of 0 is as good as none, and draws no random number. */
function ratio(name: string, value: Ratio | undefined): Ratio | undefined {
  return value === undefined || checkRatio(name, value)[0] === 0 ? undefined : value;
}

function checkRatio(name: string, value: Ratio): Ratio {
  const [numerator, denominator] = value;
  const isValid = Number.isInteger(numerator) && Number.isInteger(denominator) && numerator >= 0 &&
    denominator >= 1 && denominator <= 0x100000000 && numerator <= denominator;
  if (!isValid) {
    throw new RangeError(
      `${name} must be two integers [a, b] with 0 <= a <= b, not [${numerator}, ${denominator}]`,
    );
  }
  return value;
}

/**
 * Congestion control: BBR version 1 (draft-cardwell-iccrg-bbr-congestion-control-00; Linux `tcp_bbr.c`). Sends at the
 * rate that the path has delivered, keeps about two bandwidth-delay products out, and looks in turn for more bandwidth
 * and for the bare round trip. Counted in packets and milliseconds.
 */
import type { RateSample } from "./rate_sample.ts";
import { WindowedMax } from "./windowed_max.ts";

/** Phase of BBR. */
export type BbrMode = "startup" | "drain" | "probe-bandwidth" | "probe-rtt";

/** Packets that may be out before anything is known (RFC 6928). */
const INITIAL_WINDOW = 10;
/** Least window, in packets: keeps acknowledgements coming. */
const MIN_WINDOW = 4;
/**
 * Packets that go out after a retransmission timeout, as RFC 9002 has it (6.2.4). With one, each timeout is a single draw against
 * a path that loses in bursts: at 10 % in bursts of five on each of two links, 28 of 100 streams died of it within 64 KiB there
 * and back, with two 12.
 */
const TIMEOUT_WINDOW = 2;
/** 2 / ln 2: the least gain that doubles the rate each round. */
const STARTUP_GAIN = 2.885;
/** Window gain of the steady state: room for delayed and merged acknowledgements. */
const WINDOW_GAIN = 2;
/** Pacing gains of the steady state, one round trip each: look for more, drain what that queued, cruise. */
const CYCLE_GAINS = [1.25, 0.75, 1, 1, 1, 1, 1, 1] as const;
/** Rounds that the bandwidth filter remembers. */
const BANDWIDTH_ROUNDS = 10;
/** Rounds that the filter of merged acknowledgements remembers. */
const AGGREGATION_ROUNDS = 5;
/** Merged acknowledgements count for at most this many milliseconds of bandwidth. */
const MAX_AGGREGATION_MS = 100;
/** Growth that shows that the pipe is not full yet, and the rounds without it that show that it is. */
const FULL_GROWTH = 1.25;
const FULL_ROUNDS = 3;
/** Age at which the shortest round trip is measured anew, and how long the pipe is kept empty for it, in milliseconds. */
const MIN_RTT_WINDOW_MS = 10_000;
const PROBE_RTT_MS = 200;
/** Paces a little below the estimate, so that queues drain. */
const PACING_MARGIN = 0.99;
/** Bytes per millisecond before there is an estimate: the reference's figure. */
const INITIAL_PACING_RATE = 25_000;
/**
 * What a round without losses gives back of the room for merged acknowledgements that a recovery has halved; not in the
 * draft. On loopback, and wherever a round trip is a few turns of the receiver's loop, acknowledgements are so merged that
 * this room outgrows the receiver's socket buffer: 30 % of all packets were lost there, now 2 %, for 40 % less CPU.
 * Elsewhere nothing changes. (Scaling all of the window beyond one bandwidth-delay product lost 1 %, but also two thirds of
 * the speed on a path with 20 % of loss.)
 */
const HEADROOM_PER_ROUND = 1 / 64;
/** Packets that one wake-up of the sender may let out: the window leaves room for three such bursts. */
const MAX_BURST_PACKETS = 16;

/** The congestion controller of one stream. */
export class Bbr {
  readonly #bandwidth = new WindowedMax(BANDWIDTH_ROUNDS, 0);
  readonly #aggregation = new WindowedMax(AGGREGATION_ROUNDS, 0);
  #mode: BbrMode = "startup";
  #pacingGain = STARTUP_GAIN;
  #windowGain = STARTUP_GAIN;
  #window = INITIAL_WINDOW;
  #priorWindow = 0;
  #pacingRate = INITIAL_PACING_RATE;
  #round = 0;
  #roundEnd = 0;
  #isRoundStart = false;
  #minRtt = Infinity;
  #minRttAt = 0;
  #probeRttDoneAt = Infinity;
  #probeRttRoundDone = false;
  #fullBandwidth = 0;
  #fullRounds = 0;
  #isFull = false;
  #cycle = 0;
  #cycleStartedAt = 0;
  /** The part of the room for merged acknowledgements that is used: less after losses, because queues may be short. */
  #headroom = 1;
  #isConserving = false;
  #isRecovering = false;
  #isRestarting = false;
  #epochStartedAt = 0;
  #epochAcked = 0;

  /** Phase. */
  get mode(): BbrMode {
    return this.#mode;
  }

  /** Packets that may be in flight. */
  get window(): number {
    return this.#window;
  }

  /** Bytes per millisecond. */
  get pacingRate(): number {
    return this.#pacingRate;
  }

  /** Estimated bandwidth, in packets per millisecond. */
  get bandwidth(): number {
    return this.#bandwidth.value;
  }

  /** Shortest round trip of the last ten seconds, in milliseconds. */
  get minRtt(): number {
    return this.#minRtt;
  }

  /** Sending begins again after a pause that the application made. */
  onRestart(now: number): void {
    this.#isRestarting = true;
    this.#epochStartedAt = now;
    this.#epochAcked = 0;
    if (this.#mode === "probe-bandwidth") this.#pacingGain = 1;
  }

  /** Losses were found: keep what is in flight for one round (`inFlight` packets), then as the model says. */
  onRecoveryStart(inFlight: number, acked: number): void {
    this.#saveWindow();
    this.#headroom /= 2;
    this.#isRecovering = this.#isConserving = true;
    this.#roundEnd = -1;
    this.#window = Math.max(inFlight + acked, MIN_WINDOW);
  }

  /** A retransmission timeout: start again with as good as nothing. */
  onTimeout(): void {
    this.#saveWindow();
    this.#isRecovering = this.#isConserving = true;
    this.#roundEnd = -1;
    this.#window = TIMEOUT_WINDOW;
  }

  /** All that was lost is repaired. */
  onRecoveryEnd(): void {
    this.#isRecovering = this.#isConserving = false;
    this.#window = Math.max(this.#window, this.#priorWindow);
  }

  #saveWindow(): void {
    const isTrusted = !this.#isRecovering && this.#mode !== "probe-rtt";
    this.#priorWindow = isTrusted ? this.#window : Math.max(this.#priorWindow, this.#window);
  }

  /**
   * Takes an acknowledgement: its `sample`, packets `delivered` in all, packets still `inFlight`, bytes of a full packet.
   */
  onAck(now: number, sample: RateSample, delivered: number, inFlight: number, packetBytes: number): void {
    this.#updateRound(sample, delivered);
    this.#updateBandwidth(sample);
    this.#updateAggregation(now, sample);
    this.#updateCycle(now, sample, packetBytes);
    this.#checkFullPipe(sample);
    this.#checkDrain(now, inFlight, packetBytes);
    this.#updateMinRtt(now, sample, delivered, inFlight);
    this.#updatePacing(packetBytes);
    this.#updateWindow(sample, delivered, inFlight, packetBytes);
  }

  #updateRound(sample: RateSample, delivered: number): void {
    this.#isRoundStart = false;
    if (sample.acked === 0) return;
    if (this.#roundEnd === -1) {
      this.#roundEnd = delivered;
    } else if (sample.priorDelivered >= this.#roundEnd) {
      this.#roundEnd = delivered;
      this.#round++;
      this.#isRoundStart = true;
      this.#isConserving = false;
      if (!this.#isRecovering) this.#headroom = Math.min(this.#headroom + HEADROOM_PER_ROUND, 1);
    }
  }

  #updateBandwidth(sample: RateSample): void {
    if (sample.delivered <= 0) return;
    const bandwidth = sample.delivered / sample.intervalMs;
    // What the application slowed down says nothing of the path, unless it is more than was believed.
    if (sample.isAppLimited && bandwidth < this.#bandwidth.value) return;
    this.#bandwidth.update(this.#round, bandwidth);
  }

  #updateAggregation(now: number, sample: RateSample): void {
    if (sample.acked === 0) return;
    const expected = this.#bandwidth.value * (now - this.#epochStartedAt);
    if (this.#epochAcked <= expected) {
      this.#epochStartedAt = now;
      this.#epochAcked = 0;
    }
    this.#epochAcked += sample.acked;
    const beyond = this.#epochAcked - this.#bandwidth.value * (now - this.#epochStartedAt);
    this.#aggregation.update(this.#round, Math.min(beyond, this.#window));
  }

  #updateCycle(now: number, sample: RateSample, packetBytes: number): void {
    if (this.#mode !== "probe-bandwidth" || !this.#isCycleOver(now, sample, packetBytes)) return;
    this.#cycle = (this.#cycle + 1) % CYCLE_GAINS.length;
    this.#cycleStartedAt = now;
    this.#pacingGain = CYCLE_GAINS[this.#cycle]!;
  }

  #isCycleOver(now: number, sample: RateSample, packetBytes: number): boolean {
    const isLong = now - this.#cycleStartedAt > this.#minRtt;
    if (this.#pacingGain === 1) return isLong;
    if (this.#pacingGain > 1) {
      return isLong &&
        (sample.losses > 0 || sample.priorInFlight >= this.#target(this.#pacingGain, packetBytes));
    }
    return isLong || sample.priorInFlight <= this.#target(1, packetBytes);
  }

  #checkFullPipe(sample: RateSample): void {
    if (this.#isFull || !this.#isRoundStart || sample.isAppLimited) return;
    if (this.#bandwidth.value >= this.#fullBandwidth * FULL_GROWTH) {
      this.#fullBandwidth = this.#bandwidth.value;
      this.#fullRounds = 0;
      return;
    }
    this.#isFull = ++this.#fullRounds >= FULL_ROUNDS;
  }

  #checkDrain(now: number, inFlight: number, packetBytes: number): void {
    if (this.#mode === "startup" && this.#isFull) {
      this.#mode = "drain";
      this.#pacingGain = 1 / STARTUP_GAIN;
      this.#windowGain = STARTUP_GAIN;
    }
    if (this.#mode === "drain" && inFlight <= this.#target(1, packetBytes)) this.#enterProbeBandwidth(now);
  }

  #enterProbeBandwidth(now: number): void {
    this.#mode = "probe-bandwidth";
    this.#windowGain = WINDOW_GAIN;
    // Behind the draining phase, so that two flows that begin together look for more at different times by their own
    // round trips; Linux draws the place at random, the reference fixes it.
    this.#cycle = 2;
    this.#cycleStartedAt = now;
    this.#pacingGain = CYCLE_GAINS[this.#cycle]!;
  }

  #updateMinRtt(now: number, sample: RateSample, delivered: number, inFlight: number): void {
    const isOld = now > this.#minRttAt + MIN_RTT_WINDOW_MS;
    if (sample.rtt >= 0 && (sample.rtt <= this.#minRtt || isOld)) {
      this.#minRtt = sample.rtt;
      this.#minRttAt = now;
    }
    if (isOld && !this.#isRestarting && this.#mode !== "probe-rtt") {
      this.#saveWindow();
      this.#mode = "probe-rtt";
      this.#pacingGain = this.#windowGain = 1;
      this.#probeRttDoneAt = Infinity;
    }
    if (this.#mode === "probe-rtt") this.#probeRtt(now, delivered, inFlight);
    if (sample.acked > 0) this.#isRestarting = false;
  }

  #probeRtt(now: number, delivered: number, inFlight: number): void {
    if (this.#probeRttDoneAt === Infinity) {
      if (inFlight > MIN_WINDOW) return;
      this.#probeRttDoneAt = now + PROBE_RTT_MS;
      this.#probeRttRoundDone = false;
      this.#roundEnd = delivered;
      return;
    }
    if (this.#isRoundStart) this.#probeRttRoundDone = true;
    if (!this.#probeRttRoundDone || now <= this.#probeRttDoneAt) return;
    this.#minRttAt = now;
    this.#window = Math.max(this.#window, this.#priorWindow);
    if (this.#isFull) {
      this.#enterProbeBandwidth(now);
    } else {
      this.#mode = "startup";
      this.#pacingGain = this.#windowGain = STARTUP_GAIN;
    }
  }

  #updatePacing(packetBytes: number): void {
    if (this.#bandwidth.value === 0) return;
    const rate = this.#bandwidth.value * packetBytes * this.#pacingGain * PACING_MARGIN;
    // In startup an early, low estimate must not slow down what has been faster already.
    if (this.#isFull || rate > this.#pacingRate) this.#pacingRate = rate;
  }

  /** Packets that fill the path `gain` times, with room for bursts. */
  #target(gain: number, packetBytes: number): number {
    if (this.#minRtt === Infinity || this.#bandwidth.value === 0) return INITIAL_WINDOW;
    const product = this.#bandwidth.value * this.#minRtt * gain;
    const burst = Math.min(Math.max(this.#pacingRate / packetBytes, 1), MAX_BURST_PACKETS);
    return Math.ceil(product + 3 * burst) + (gain > 1 && this.#mode === "probe-bandwidth" ? 2 : 0);
  }

  #updateWindow(sample: RateSample, delivered: number, inFlight: number, packetBytes: number): void {
    if (sample.acked > 0) {
      if (this.#isRecovering && sample.losses > 0) {
        this.#window = Math.max(this.#window - sample.losses, 1);
      }
      if (this.#isConserving) {
        this.#window = Math.max(this.#window, inFlight + sample.acked);
      } else {
        this.#growWindow(sample.acked, delivered, packetBytes);
      }
    }
    if (this.#mode === "probe-rtt") this.#window = Math.min(this.#window, MIN_WINDOW);
  }

  #growWindow(acked: number, delivered: number, packetBytes: number): void {
    const spare = this.#isFull
      ? Math.min(this.#aggregation.value, this.#bandwidth.value * MAX_AGGREGATION_MS)
      : 0;
    const target = this.#target(this.#windowGain, packetBytes) + Math.ceil(spare * this.#headroom);
    if (this.#isFull) this.#window = Math.min(this.#window + acked, target);
    else if (this.#window < target || delivered < INITIAL_WINDOW) this.#window += acked;
    this.#window = Math.max(this.#window, MIN_WINDOW);
  }
}

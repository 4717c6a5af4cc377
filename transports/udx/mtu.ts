/**
 * Finds the largest packet that the path carries (in the manner of RFC 8899): a data packet with padding probes a size;
 * its acknowledgement proves the size, three losses disprove it. The search doubles its way up and halves what is left.
 */
import { BASE_MTU, MAX_PROBE_PADDING, MTU_PRECISION, MTU_PROBE_TRIES } from "./constants.ts";

/** The MTU of one path, in bytes, IP and UDP headers included. */
export class MtuProber {
  readonly #max: number;
  #proven = BASE_MTU;
  /** The smallest size that is known to be too big. */
  #ceiling: number;
  #candidate = 0;
  #losses = 0;
  #isProbing = false;
  #isConfirmed = false;

  /** A search between the base and `max`. */
  constructor(max: number) {
    this.#max = Math.max(max, BASE_MTU);
    this.#ceiling = this.#max + 1;
  }

  /** The largest size that is known to get through. */
  get current(): number {
    return this.#proven;
  }

  /** Whether a probe is wanted now. The first waits until the path has carried anything at all. */
  get wantsProbe(): boolean {
    return this.#isConfirmed && !this.#isProbing && this.#nextCandidate() > this.#proven;
  }

  /** The size to probe now. */
  get probeSize(): number {
    return this.#nextCandidate();
  }

  #nextCandidate(): number {
    if (this.#candidate > this.#proven) return this.#candidate;
    const room = this.#ceiling - this.#proven;
    if (room <= 1) return this.#proven;
    if (this.#ceiling > this.#max) return Math.min(this.#max, this.#proven + MAX_PROBE_PADDING);
    return room <= MTU_PRECISION ? this.#proven : this.#proven + (room >> 1);
  }

  /** Notes that any packet has arrived. */
  onAck(): void {
    this.#isConfirmed = true;
  }

  /** Notes that a probe has left. */
  onProbeSent(): void {
    this.#candidate = this.#nextCandidate();
    this.#isProbing = true;
  }

  /** Notes that the probe has arrived. */
  onProbeAcked(): void {
    if (!this.#isProbing) return;
    this.#isProbing = false;
    this.#losses = 0;
    this.#proven = this.#candidate;
    this.#candidate = 0;
  }

  /** Notes that the probe is lost. */
  onProbeLost(): void {
    if (!this.#isProbing) return;
    this.#isProbing = false;
    if (++this.#losses < MTU_PROBE_TRIES) return;
    this.#losses = 0;
    this.#ceiling = this.#candidate;
    this.#candidate = 0;
  }
}

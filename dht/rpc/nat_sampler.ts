/**
 * Which address others see, from what they say: the latest 16 statements, and how many of them agree.
 *
 * Source of the thresholds: nat-sampler as installed with dht-rpc 6.27.0. Agreement is counted exactly; the reference compares each
 * statement with the four before it.
 */
import { SocketAddress } from "../../encoding/address.ts";

const MAX_SAMPLES = 16;

/** How many of `count` statements may be wrong. */
function tolerated(count: number): number {
  return count < 4 ? 0 : count < 8 ? 1 : count < 12 ? 2 : 3;
}

/** The most frequent of `values`, and how often it occurs. */
function mode<T>(values: readonly T[]): { value: T | undefined; count: number } {
  let best: { value: T | undefined; count: number } = { value: undefined, count: 0 };
  for (const value of values) {
    let count = 0;
    for (const other of values) if (other === value) count++;
    if (count > best.count) best = { value, count };
  }
  return best;
}

/** Learns the own address. */
export class NatSampler {
  readonly #samples: SocketAddress[] = [];
  #next = 0;
  #address: SocketAddress | undefined;

  /** How many statements count, at most 16. */
  get size(): number {
    return this.#samples.length;
  }

  /** The own address; with port 0 if others agree about the host alone; undefined if they agree about nothing. */
  get address(): SocketAddress | undefined {
    return this.#address;
  }

  /** The host and the port of {@linkcode address}, if others agree about both. */
  get consistent(): SocketAddress | undefined {
    return this.#address?.port === 0 ? undefined : this.#address;
  }

  /** Another node says that it sees this one at `address`, which is IPv4. True if that changes the result. */
  add(address: SocketAddress): boolean {
    this.#samples[this.#next] = address;
    this.#next = (this.#next + 1) % MAX_SAMPLES;
    const before = this.#address;
    this.#address = this.#agreement();
    return before?.key !== this.#address?.key;
  }

  #agreement(): SocketAddress | undefined {
    const needed = this.#samples.length - tolerated(this.#samples.length);
    const full = mode(this.#samples.map((sample) => sample.key));
    if (full.count >= needed) return this.#samples.find((sample) => sample.key === full.value);
    const host = mode(this.#samples.map((sample) => sample.bits));
    return host.count >= needed ? SocketAddress.v4(host.value!, 0) : undefined;
  }
}

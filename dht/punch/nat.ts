/**
 * What kind of NAT is in front of a socket, judged by how nodes of the DHT see it.
 *
 * Source of the rules: hyperdht 6.34.0, lib/nat.js; `tests/vectors/dht_punch.json` holds its verdicts.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { Firewall, JUDGED_SAMPLES, MAX_SAMPLES, MIN_SAMPLES } from "./constants.ts";

/** An address, and how many nodes saw the socket at it. */
interface Sighting {
  readonly address: SocketAddress;
  hits: number;
}

/** Counts one more sighting; the list stays sorted by hits, and among equals by time. */
function note(list: Sighting[], address: SocketAddress): void {
  let index = list.findIndex((one) => one.address.equals(address));
  if (index < 0) {
    list.push({ address, hits: 1 });
    return;
  }
  const sighting = list[index]!;
  sighting.hits++;
  for (; index > 0 && list[index - 1]!.hits < sighting.hits; index--) list[index] = list[index - 1]!;
  list[index] = sighting;
}

/**
 * The verdict about one socket.
 *
 * @example
 * ```ts
 * import { SocketAddress } from "../../encoding/address.ts";
 * import { Firewall } from "./constants.ts";
 * import { NatClassifier } from "./nat.ts";
 *
 * const nat = new NatClassifier({ isFirewalled: true });
 * for (const node of ["11.0.0.1:1", "11.0.0.2:1", "11.0.0.3:1"]) {
 *   nat.add(SocketAddress.parse("11.9.9.9:4000"), SocketAddress.parse(node));
 * }
 * console.assert(nat.firewall === Firewall.Consistent);
 * ```
 */
export class NatClassifier {
  readonly #isFirewalled: boolean;
  readonly #hosts: Sighting[] = [];
  readonly #addresses: Sighting[] = [];
  readonly #witnesses = new Set<number | string>();
  #firewall: number;
  #isFrozen = false;

  /** A socket of which nothing is known but whether this node is behind a firewall at all. */
  constructor(options: { readonly isFirewalled: boolean }) {
    this.#isFirewalled = options.isFirewalled;
    this.#firewall = options.isFirewalled ? Firewall.Unknown : Firewall.Open;
  }

  /** One of `Firewall`. */
  get firewall(): number {
    return this.#firewall;
  }

  /** How many nodes have said what they see. */
  get sampleCount(): number {
    return this.#witnesses.size;
  }

  /** Whether more samples are not worth waiting for. */
  get isDecided(): boolean {
    if (this.#firewall === Firewall.Consistent || this.#firewall === Firewall.Open) return true;
    return this.sampleCount >= MIN_SAMPLES;
  }

  /** Whether every single node saw another port of one host: then a fresh socket would fare no better. */
  get isPlainlyRandom(): boolean {
    return this.#firewall === Firewall.Random && this.#hosts.length === 1 && this.#addresses[0]!.hits === 1;
  }

  /**
   * Where the socket is to be reached: every address that two nodes saw and two in any case if the NAT is consistent, the host with
   * port 0 if it is random. Undefined as long as that is not known.
   */
  get addresses(): SocketAddress[] | undefined {
    if (this.#firewall === Firewall.Unknown || this.sampleCount === 0) return undefined;
    if (this.#firewall === Firewall.Random) return [this.#hosts[0]!.address];
    return this.#addresses.filter(({ hits }, i) => hits >= 2 || i < 2).map(({ address }) => address);
  }

  /** Fixes the verdict: the peer has been told, and would be confused by another. */
  freeze(): void {
    this.#isFrozen = true;
  }

  /**
   * Takes what one node sees. A node counts once, and after 16 of them or once frozen nothing changes.
   *
   * @param seenAs the address of the socket as the node sees it.
   * @param by the node.
   */
  add(seenAs: SocketAddress, by: SocketAddress): void {
    if (this.#isFrozen || this.#witnesses.has(by.key) || this.#witnesses.size >= MAX_SAMPLES) return;
    this.#witnesses.add(by.key);
    note(this.#hosts, SocketAddress.of(seenAs.host, 0));
    note(this.#addresses, seenAs);
    if (this.#isFirewalled) this.#judge();
  }

  #judge(): void {
    const count = this.sampleCount;
    if (count < JUDGED_SAMPLES) return;
    const hits = this.#addresses[0]!.hits;
    const isOneHost = this.#hosts.length === 1;
    if (hits >= 3) this.#firewall = Firewall.Consistent;
    else if (hits === 1) this.#firewall = Firewall.Random;
    else if (isOneHost && count > 3) this.#firewall = Firewall.Random;
    // A line with two carriers: each address twice.
    else if (!isOneHost && this.#addresses[1]!.hits > 1) this.#firewall = Firewall.Consistent;
    else if (count > MIN_SAMPLES) this.#firewall = Firewall.Random;
  }
}

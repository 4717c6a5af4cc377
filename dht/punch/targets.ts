/**
 * The addresses that a peer may make us send to: few, and only such as make sense. Only payloads that were sealed with the secret
 * of the handshake name addresses, so whoever names them is known by key.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { Firewall, MAX_ADDRESSES, MAX_HOSTS, MAX_TARGETS } from "./constants.ts";

/** Where a peer says that it is. */
export interface Target {
  /** Its address; port 0 if it has another for each remote. */
  readonly address: SocketAddress;
  /** Whether the peer has proven that it receives at this host. */
  readonly isVerified: boolean;
}

/** What is known of the other side of a punch. */
export class Targets {
  readonly #allowsPrivate: boolean;
  readonly #hosts = new Set<string>();
  readonly #addresses = new Set<number | string>();
  readonly #verified = new Set<string>();
  #list: Target[] = [];

  /** Private addresses are for peers in a network of the same kind, as on one host in a test. */
  constructor(options: { readonly allowsPrivate: boolean }) {
    this.#allowsPrivate = options.allowsPrivate;
  }

  /** What the peer named last. */
  get list(): readonly Target[] {
    return this.#list;
  }

  /** The first target that is verified. */
  get verified(): Target | undefined {
    return this.#list.find(({ isVerified }) => isVerified);
  }

  /** Whether the peer has named the host of `address`. */
  hasNamed(address: SocketAddress): boolean {
    return this.#hosts.has(address.host);
  }

  /** Whether the peer is at other addresses, all of them, than it named last. */
  hasMovedTo(addresses: readonly SocketAddress[]): boolean {
    const isKnown = (address: SocketAddress) => this.#list.some((target) => target.address.equals(address));
    return this.#list.length > 0 && addresses.length > 0 && !addresses.some(isKnown);
  }

  /** Whether a packet may go to `address`, which from then on counts as one of those that the peer made us send to. */
  permit(address: SocketAddress): boolean {
    if (address.port === 0 || !this.#isUsable(address)) return false;
    if (this.#addresses.has(address.key)) return true;
    if (this.#addresses.size >= MAX_TARGETS || !this.#permitHost(address.host)) return false;
    this.#addresses.add(address.key);
    return true;
  }

  /** Takes what the peer named; `verifiedHost` is one of which it has just shown that it receives there. */
  update(addresses: readonly SocketAddress[], verifiedHost: string | undefined): void {
    const named = addresses.slice(0, MAX_ADDRESSES).filter((address) =>
      address.port === 0 ? this.#isUsable(address) && this.#permitHost(address.host) : this.permit(address)
    );
    // Only a host that the peer names itself: what a relay says about the peer proves nothing.
    if (named.some(({ host }) => host === verifiedHost)) this.#verified.add(verifiedHost!);
    this.#list = named.map((address) => ({ address, isVerified: this.#verified.has(address.host) }));
  }

  #permitHost(host: string): boolean {
    if (!this.#hosts.has(host) && this.#hosts.size >= MAX_HOSTS) return false;
    this.#hosts.add(host);
    return true;
  }

  #isUsable(address: SocketAddress): boolean {
    return address.family === 4 && !address.isReserved && (this.#allowsPrivate || !address.isPrivate);
  }
}

/** Open counts as consistent: an open peer is connected to directly, and if not, then punched like others. */
export function punchable(firewall: number): number {
  if (firewall === Firewall.Open) return Firewall.Consistent;
  return Math.min(firewall, Firewall.Random);
}

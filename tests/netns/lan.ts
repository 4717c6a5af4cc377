/**
 * A LAN of real kernels, without a way out:
 *
 *     host 0 (10.99.0.1) --+
 *     host 1 (10.99.0.2) --+-- bridge, in a namespace of its own
 *     ...                --+
 */
import { Namespaces, type Program } from "./namespaces.ts";

/** See the head of the file. */
export class Lan {
  readonly #spaces = new Namespaces();

  /** A LAN of `size` hosts. */
  constructor(size: number) {
    this.#spaces.add("bridge");
    this.#spaces.ip("bridge", "link add br0 type bridge", "link set br0 up");
    for (let i = 0; i < size; i++) {
      this.#spaces.add(`h${i}`);
      this.#spaces.connect("bridge", `p${i}`, `h${i}`, "eth0");
      this.#spaces.ip("bridge", `link set p${i} master br0`);
      this.ip(i, `addr add 10.99.0.${i + 1}/24 dev eth0`);
    }
  }

  /**
   * Gives a host a second interface, as a VPN does: up, with an address, the way to everywhere, and leading to nobody on the
   * LAN. Some kinds take multicast, some (WireGuard's) do not.
   */
  addVpn(host: number, address: string, options: { readonly multicast: boolean }): void {
    this.#spaces.connect(`h${host}`, "wg0", "bridge", `far${host}`);
    this.ip(host, `link set wg0 multicast ${options.multicast ? "on" : "off"}`);
    this.ip(host, `addr add ${address}/24 dev wg0`, "route add default dev wg0 metric 1");
  }

  /** Runs lines of `ip` on a host. */
  ip(host: number, ...lines: readonly string[]): void {
    this.#spaces.ip(`h${host}`, ...lines);
  }

  /** Runs any command on a host. @returns what it prints. */
  exec(host: number, ...command: readonly string[]): string {
    return this.#spaces.exec(`h${host}`, ...command);
  }

  /** Starts a program on a host, with no more rights than the network takes. */
  start(host: number, file: URL, ...args: readonly string[]): Program {
    return this.#spaces.start(`h${host}`, file, ...args);
  }

  /** Starts a program that may do anything. */
  startTrusted(host: number, file: URL, ...args: readonly string[]): Program {
    return this.#spaces.startTrusted(`h${host}`, file, ...args);
  }

  /** Ends all programs and takes everything away. */
  close(): Promise<void> {
    return this.#spaces.close();
  }
}

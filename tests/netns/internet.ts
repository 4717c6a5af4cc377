/**
 * A small internet of real kernels: public hosts, and homes behind routers of their own. Nothing leads out of it.
 *
 *     home a (192.168.1.10) -- router a (11.101.0.1) --+
 *     home b (192.168.2.10) -- router b (11.102.0.1) --+-- core -- public (11.0.0.10, 11.1.0.10, ...)
 *
 * Addresses of IPv6 are everybody's own, as usual, and routers let in what belongs to something that went out:
 * home a is fd00:1::10, home b fd00:2::10, the public host fd00::10.
 */
import { Namespaces, type Program } from "./namespaces.ts";

/** What a router does. */
export interface HomeOptions {
  /** Whether it lets UDP through; true by default. */
  readonly udp?: boolean;
}

/** What routers at home do: translate IPv4, and let in, of either family, only what belongs to something that went out. */
const HOME_ROUTER = `
  table ip nat {
    chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
    chain own { type filter hook input priority filter; policy drop;
      iifname != "wan" accept; ct state established,related accept; }
  }
  table inet filter {
    chain through { type filter hook forward priority filter; policy accept;
      ct state established,related accept; iifname "wan" drop; }
  }`;
const NO_UDP = `
  table inet block { chain through { type filter hook forward priority -10; meta l4proto udp counter drop; }; }`;

/** See the head of the file. */
export class Internet {
  readonly #spaces = new Namespaces();
  /** The addresses of the public host. */
  readonly publicHosts: readonly string[];
  #homes = 0;

  /** An internet whose one public host has `size` addresses, which are far apart. */
  constructor(size: number) {
    this.publicHosts = Array.from({ length: size }, (_, i) => `11.${i}.0.10`);
    this.#spaces.add("core");
    this.#spaces.ip("core", "link add br0 type bridge mcast_snooping 0", "link set br0 up");
    this.#addToCore("public", "wan");
    const hosts = this.publicHosts.map((host) => `addr add ${host}/8 dev wan`);
    this.#ip("public", ...hosts, "addr add fd00::10/64 dev wan");
  }

  /** Adds a host called `name` behind a router of its own; at most a hundred. */
  addHome(name: string, options: HomeOptions = {}): void {
    const [n, router] = [++this.#homes, `${name}-router`];
    this.#addToCore(router, "wan");
    this.#spaces.add(name);
    this.#spaces.connect(router, "lan", name, "eth0");
    this.#ip(router, `addr add 11.${100 + n}.0.1/8 dev wan`, `addr add fd00::${n}/64 dev wan`);
    this.#ip(router, `addr add 192.168.${n}.1/24 dev lan`, `addr add fd00:${n}::1/64 dev lan`);
    this.#ip(name, `addr add 192.168.${n}.10/24 dev eth0`, `addr add fd00:${n}::10/64 dev eth0`);
    this.#ip(name, `route add default via 192.168.${n}.1`, `route add default via fd00:${n}::1`);
    this.#ip("public", `route add fd00:${n}::/64 via fd00::${n}`);
    this.#spaces.set(router, "ipv4/ip_forward", 1);
    this.#spaces.set(router, "ipv6/conf/all/forwarding", 1);
    this.#spaces.nft(router, HOME_ROUTER, ...options.udp === false ? [NO_UDP] : []);
  }

  /** Packets of UDP that the router of a home has dropped, if it lets none through. */
  droppedAt(home: string): number {
    const rules = this.#spaces.exec(`${home}-router`, "nft", "list", "table", "inet", "block");
    return Number(/counter packets (\d+)/.exec(rules)![1]);
  }

  /** Starts a program of this repository on the host `name`; `public` is the public one. */
  start(name: string, file: URL, ...args: readonly string[]): Program {
    return this.#spaces.start(name, file, ...args);
  }

  /** Starts any program. */
  spawn(name: string, ...command: readonly string[]): Program {
    return this.#spaces.spawn(name, ...command);
  }

  /** Ends all programs and takes everything away. */
  close(): Promise<void> {
    return this.#spaces.close();
  }

  #addToCore(name: string, device: string): void {
    this.#spaces.add(name);
    this.#spaces.connect("core", name, name, device);
    this.#spaces.ip("core", `link set ${name} master br0`);
  }

  #ip(name: string, ...lines: readonly string[]): void {
    this.#spaces.ip(name, ...lines);
  }
}

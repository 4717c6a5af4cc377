/**
 * What routers do to UDP, in the words of RFC 4787, and the kinds of routers that are met in the wild.
 */

/** What of the other side's address a router looks at: nothing, the address, or the address and the port. */
export type Dependence = "endpoint-independent" | "address-dependent" | "address-and-port-dependent";

/** How a router chooses the outside port of a new mapping. */
export type PortAllocation =
  /** The same as inside, if it is free. */
  | "preserving"
  /** A fixed distance from the one inside, as routers with several clients often look. */
  | "shifting"
  /** One after the other. */
  | "sequential"
  /** Any. */
  | "random";

/** How one router treats UDP. */
export interface RouterBehaviour {
  /** Which packets of one inside socket share an outside port; `none`: addresses are not translated. */
  readonly mapping: "none" | Dependence;
  /** Whose packets come in: anybody's, those of addresses that were sent to, or of addresses and ports. */
  readonly filtering: Dependence;
  /** How outside ports are chosen. */
  readonly ports: PortAllocation;
  /** Whether a packet from inside to the router's own outside address comes back in. */
  readonly hairpin: boolean;
  /** How long the router remembers that something was sent but not answered, in milliseconds. */
  readonly unansweredMs: number;
  /** As {@linkcode unansweredMs}, after an answer. */
  readonly answeredMs: number;
  /**
   * Whether a packet that comes in unasked makes the router use another port when the inside later sends to its sender,
   * as Linux does when the router itself accepts such packets.
   */
  readonly movedByEarlyInbound: boolean;
  /** Whether it carries no UDP at all. */
  readonly blocksUdp: boolean;
}

/** A name for a usual kind of router. */
export type RouterType =
  /** Public addresses, no filter. */
  | "open"
  /** Public addresses behind a stateful firewall. */
  | "public-firewall"
  /** Anybody may send to a mapped port. */
  | "full-cone"
  /** Only addresses that were sent to. */
  | "restricted-cone"
  /** Only addresses and ports that were sent to: the usual home router. */
  | "port-restricted-cone"
  /** As `port-restricted-cone`, but the port outside differs from the one inside. */
  | "port-shifting"
  /** A new random port for each destination. */
  | "symmetric"
  /** A home router behind a carrier's NAT, both like `port-restricted-cone`. */
  | "carrier-grade"
  /** A home router behind a carrier's symmetric NAT. */
  | "carrier-grade-symmetric"
  /** As `port-restricted-cone`, but {@linkcode RouterBehaviour.movedByEarlyInbound}: an early packet moves the mapping. */
  | "linux-poison"
  /** No UDP gets through. */
  | "udp-blocked";

/** Linux's defaults: `nf_conntrack_udp_timeout` and `nf_conntrack_udp_timeout_stream`. */
const UNANSWERED_MS = 30_000;
const ANSWERED_MS = 120_000;

const HOME: RouterBehaviour = {
  mapping: "endpoint-independent",
  filtering: "address-and-port-dependent",
  ports: "preserving",
  hairpin: false,
  unansweredMs: UNANSWERED_MS,
  answeredMs: ANSWERED_MS,
  movedByEarlyInbound: false,
  blocksUdp: false,
};
const SYMMETRIC: RouterBehaviour = { ...HOME, mapping: "address-and-port-dependent", ports: "random" };

/** The routers of one connection to the internet. */
export interface RouterChain {
  /** The one that hosts are connected to. */
  readonly router: RouterBehaviour;
  /** The carrier's, if the router is behind one. */
  readonly carrier?: RouterBehaviour;
}

/** What each {@linkcode RouterType} means. */
export const ROUTER_TYPES: Readonly<Record<RouterType, RouterChain>> = {
  "open": { router: { ...HOME, mapping: "none", filtering: "endpoint-independent" } },
  "public-firewall": { router: { ...HOME, mapping: "none" } },
  "full-cone": { router: { ...HOME, filtering: "endpoint-independent" } },
  "restricted-cone": { router: { ...HOME, filtering: "address-dependent" } },
  "port-restricted-cone": { router: HOME },
  "port-shifting": { router: { ...HOME, ports: "shifting" } },
  "symmetric": { router: SYMMETRIC },
  "carrier-grade": { router: HOME, carrier: HOME },
  "carrier-grade-symmetric": { router: HOME, carrier: SYMMETRIC },
  "linux-poison": { router: { ...HOME, movedByEarlyInbound: true } },
  "udp-blocked": { router: { ...HOME, blocksUdp: true } },
};

/** The settings of a node with every choice made. */
import type { SocketAddress } from "../../encoding/address.ts";

/** One way into the network. */
export interface BootstrapNode {
  /** A name or an address. */
  readonly host: string;
  /** The port. */
  readonly port: number;
  /** An address to be tried before the name is looked up. */
  readonly suggested: SocketAddress | undefined;
}

/** See the head of the file; `RpcOptions` says what each means. */
export interface RpcConfig {
  /** Ways into the network. */
  readonly bootstrap: readonly BootstrapNode[];
  /** Whether it becomes persistent as soon as it can. */
  readonly isForcedPersistent: boolean;
  /** Whether it becomes persistent in time, and ephemeral again when its host has slept. */
  readonly isAdaptive: boolean;
  /** Whether others may be unable to reach it unasked. */
  readonly firewalled: boolean;
  /** Whether that is tested at the start. */
  readonly quickFirewall: boolean;
  /** Requests of a query that are out at once. */
  readonly concurrency: number;
  /** Requests that are out at once at most. */
  readonly maxWindow: number;
  /** Longest delay of a delayed ping, in milliseconds. */
  readonly maxPingDelayMs: number;
  /** Whether timeouts follow the RTT. */
  readonly adaptiveTimeout: boolean;
  /** Whether others are told who is down. */
  readonly sendDownHints: boolean;
  /** How often in 5 s. */
  readonly downHintsPerTick: number;
  /** Messages to third parties that a source may cause in a second. */
  readonly maxForwardsPerSecond: number;
  /** Whether a node may be asked and kept. */
  readonly filterNode: (address: SocketAddress) => boolean;
  /** The address that others see, if it is known from the start. */
  readonly ownAddress: SocketAddress | undefined;
}

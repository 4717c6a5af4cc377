/** What the parts of a node share: the machine as each of them sees it. */
import type { Deadlines } from "../../core/runtime/deadlines.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { RpcConfig } from "./config.ts";
import type { Due } from "./due.ts";
import type { RpcEvent } from "./events.ts";
import type { OutgoingOptions, OutgoingRequest, RequestOwner } from "./outgoing_request.ts";
import type { RpcStats } from "./stats.ts";

/** See the head of the file. */
export interface RpcContext {
  /** Settings. */
  readonly config: RpcConfig;
  /** Cryptography. */
  readonly crypto: CryptoProvider;
  /** Chance. */
  readonly random: Random;
  /** Deadlines. */
  readonly deadlines: Deadlines<Due>;
  /** Counters. */
  readonly stats: RpcStats;
  /** Requests that are out. */
  readonly inFlight: number;
  /** Asks another node. */
  request(now: number, options: OutgoingOptions, owner: RequestOwner): OutgoingRequest;
  /** Gives up a request. */
  cancel(now: number, request: OutgoingRequest): void;
  /** Reports something to the driver. */
  emit(event: RpcEvent): void;
  /** The id of the node at `address`. */
  idOf(address: SocketAddress): Uint8Array;
}

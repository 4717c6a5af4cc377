/**
 * How a connection leaves its relay for a direct path, without I/O, and how it goes back if that path does not carry.
 *
 * ```text
 * relayed --path--> moving --heard--> direct --relay quiet--> done
 *    |  ^             |  |              |  |
 *    |  +--silence----+  |              |  +--relay lost--> done
 *    |  +----------------|--peer back---+
 *    |                   +--relay lost--> done
 *    +--relay lost--> stranded --path--> done
 *                         +------10 s--> failed
 * ```
 *
 * While it moves, new packets go the direct way, and what was sent before is repeated through the relay. Once the peer is heard
 * directly, all that is not acknowledged goes the direct way as well: from then on this side needs the relay no more. The peer may
 * still, so the relay is kept until nothing comes through it for a while: only then can nothing be lost.
 *
 * Source: hyperdht 6.34.0, lib/relay-connection.js, whose peers leave the relay at the first direct packet, and take an empty
 * unordered message for one. Different on purpose: a direct path that stays silent is given up again.
 */
import { assert } from "../core/runtime/assert.ts";
import type { Machine } from "../core/runtime/machine.ts";
import type { SocketAddress } from "../encoding/address.ts";

/** Where a connection stands between its relay and a direct path. */
export type UpgradeState = "relayed" | "moving" | "direct" | "stranded" | "done" | "failed";
type UpgradeInput = "path" | "heard" | "silence" | "peerBack" | "relayQuiet" | "relayLost" | "expired";

const TABLE: Readonly<Record<UpgradeState, Partial<Readonly<Record<UpgradeInput, UpgradeState>>>>> = {
  relayed: { path: "moving", relayLost: "stranded" },
  moving: { heard: "direct", silence: "relayed", relayLost: "done" },
  direct: { relayQuiet: "done", peerBack: "relayed", relayLost: "done" },
  stranded: { path: "done", expired: "failed" },
  done: {},
  failed: {},
};

/** A way to the peer itself. */
export interface DirectPath {
  /** The socket of this side. */
  readonly socket: object;
  /** Where the peer is. */
  readonly address: SocketAddress;
}

/** What an upgrade wants done with the stream. */
export type UpgradeEvent =
  /** Send new packets along the path (`changeRemote`). */
  | { readonly type: "change"; readonly path: DirectPath }
  /** Send everything along the path (`redirect`). */
  | { readonly type: "redirect"; readonly path: DirectPath }
  /** Send everything through the relay again (`redirect`). */
  | { readonly type: "goBack" }
  /** Show the peer that the path carries: an empty unordered message and a heartbeat. */
  | { readonly type: "nudge" }
  /** Give the relay up. */
  | { readonly type: "dropRelay" }
  /** The relay is lost, and no direct path has been found. */
  | { readonly type: "fail" };

// Tuning

/** When a new path is nudged, in milliseconds: dense at first, since one packet that gets through is enough. */
const NUDGES_MS: readonly number[] = [0, 50, 150, 350, 750, 1550, 3150];
/** Milliseconds that a direct path gets until the peer must have been heard on it: a few retransmissions. */
const SILENCE_MS = 5000;
/** Milliseconds between two looks at a relay that may no longer be needed. */
const CHECK_MS = 1000;
/** Milliseconds without a packet through the relay after which the peer does not need it either: some of its timeouts. */
const QUIET_MS = 5000;
/** Milliseconds of packets through the relay, and none directly, after which the peer has gone back to it. */
const BACK_MS = 3000;
/** Milliseconds that a connection whose relay is lost has to find a direct path. */
const STRANDED_MS = 10_000;

/** See the head of the file. */
export class RelayUpgrade implements Machine<UpgradeEvent> {
  readonly #heardAt: () => number;
  readonly #events: UpgradeEvent[] = [];
  #state: UpgradeState = "relayed";
  #enteredAt = 0;
  #relayHeardAt = 0;
  #path: DirectPath | undefined;
  #nudges = 0;
  #checkAt = Infinity;

  /** A connection that runs through its relay. `heardAt` tells when a packet last came from where the stream sends to. */
  constructor(heardAt: () => number) {
    this.#heardAt = heardAt;
  }

  /** Where it stands. */
  get state(): UpgradeState {
    return this.#state;
  }

  /** Whether packets go straight to the peer. */
  get isDirect(): boolean {
    return this.#state === "moving" || this.#state === "direct" || this.#state === "done";
  }

  /** Whether packets that come through the relay are still the stream's. */
  get needsRelay(): boolean {
    return this.#state === "relayed" || this.#state === "moving" || this.#state === "direct";
  }

  /** There is a direct path: a hole was punched, or the peer has sent a packet along it. False if it is not wanted now. */
  handlePath(now: number, path: DirectPath): boolean {
    if (this.#state !== "relayed" && this.#state !== "stranded") return false;
    const isStranded = this.#state === "stranded";
    this.#path = path;
    this.#enter("path", now);
    this.#events.push({ type: isStranded ? "redirect" : "change", path });
    if (isStranded) this.#events.push({ type: "nudge" });
    return true;
  }

  /** A packet has come through the relay although the stream has left it. */
  handleRelayPacket(now: number): void {
    this.#relayHeardAt = now;
    this.#look(now);
  }

  /** The relay is gone, or has closed the link. */
  handleRelayLost(now: number): void {
    if (!this.needsRelay) return;
    if (this.#state === "moving") this.#events.push({ type: "redirect", path: this.#path! });
    if (this.isDirect) this.#events.push({ type: "dropRelay" });
    this.#enter("relayLost", now);
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    if (this.#state === "moving") {
      while (now >= this.#nudgeAt()) {
        this.#nudges++;
        this.#events.push({ type: "nudge" });
      }
    }
    this.#look(now);
  }

  /** See {@linkcode Machine.nextTimeout}. */
  nextTimeout(): number {
    switch (this.#state) {
      case "moving":
        return Math.min(this.#nudgeAt(), this.#enteredAt + SILENCE_MS);
      case "direct":
        return this.#checkAt;
      case "stranded":
        return this.#enteredAt + STRANDED_MS;
      default:
        return Infinity;
    }
  }

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): UpgradeEvent | undefined {
    return this.#events.shift();
  }

  #nudgeAt(): number {
    return this.#enteredAt + (NUDGES_MS[this.#nudges] ?? Infinity);
  }

  #enter(input: UpgradeInput, now: number): void {
    const next = TABLE[this.#state][input];
    assert(next !== undefined, `an upgrade that is ${this.#state} takes no ${input}`);
    this.#state = next;
    this.#enteredAt = now;
    this.#nudges = 0;
    this.#checkAt = now + CHECK_MS;
  }

  #look(now: number): void {
    if (this.#state === "moving") this.#lookWhileMoving(now);
    else if (this.#state === "direct") this.#lookWhileDirect(now);
    else if (this.#state === "stranded" && now >= this.#enteredAt + STRANDED_MS) {
      this.#enter("expired", now);
      this.#events.push({ type: "fail" });
    }
  }

  #lookWhileMoving(now: number): void {
    if (this.#heardAt() >= this.#enteredAt) {
      this.#enter("heard", now);
      this.#relayHeardAt = now;
      this.#events.push({ type: "redirect", path: this.#path! }, { type: "nudge" });
    } else if (now >= this.#enteredAt + SILENCE_MS) {
      this.#enter("silence", now);
      this.#events.push({ type: "goBack" });
    }
  }

  #lookWhileDirect(now: number): void {
    const heardAt = Math.max(this.#heardAt(), this.#enteredAt);
    if (this.#relayHeardAt >= heardAt + BACK_MS) {
      this.#enter("peerBack", now);
      this.#events.push({ type: "goBack" });
    } else if (now >= this.#relayHeardAt + QUIET_MS) {
      this.#enter("relayQuiet", now);
      this.#events.push({ type: "dropRelay" });
    } else if (now >= this.#checkAt) this.#checkAt = now + CHECK_MS;
  }
}

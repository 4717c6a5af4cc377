/**
 * Who is let in and dialed: the application's decision, asked for once.
 */
import type { Clock } from "../core/runtime/runtime.ts";
import { FIREWALL_TIMEOUT_MS } from "./constants.ts";
import type { PeerBook } from "./peer_book.ts";

/** Decides about a peer by its key: true keeps it out for ever. May take a while. */
export type FirewallFunction = (publicKey: Uint8Array) => boolean | Promise<boolean>;

/** `deny` is for ever, `fail` for this time: the firewall threw, or was too slow. */
export type FirewallVerdict = "allow" | "deny" | "fail";

/** See the head of the file. */
export class Firewall {
  readonly #clock: Clock;
  readonly #book: PeerBook;
  readonly #decide: FirewallFunction | undefined;

  /** Asks `decide` for whom `book` has not banned. */
  constructor(clock: Clock, book: PeerBook, decide: FirewallFunction | undefined) {
    this.#clock = clock;
    this.#book = book;
    this.#decide = decide;
  }

  /** Decides about a peer; at once if the application does. */
  check(publicKey: Uint8Array): FirewallVerdict | Promise<FirewallVerdict> {
    if (this.#book.isOwn(publicKey) || this.#book.isBanned(publicKey)) return "deny";
    if (this.#decide === undefined) return "allow";
    try {
      const isDenied = this.#decide(publicKey);
      if (typeof isDenied === "boolean") return isDenied ? "deny" : "allow";
      return this.#inTime(isDenied);
    } catch {
      return "fail";
    }
  }

  #inTime(deciding: Promise<boolean>): Promise<FirewallVerdict> {
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(this.#clock.now() + FIREWALL_TIMEOUT_MS, () => resolve("fail"));
      const decided = (verdict: FirewallVerdict) => {
        timer.cancel();
        resolve(verdict);
      };
      deciding.then((isDenied) => decided(isDenied ? "deny" : "allow"), () => decided("fail"));
    });
  }
}

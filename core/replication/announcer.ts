/** Tells one peer which blocks are here: all at first, what it wants to know, and what comes and goes. */
import { PAGE_BITS } from "../log/constants.ts";
import { isLogLength } from "../log/flat_tree.ts";
import { ProtocolError } from "../runtime/errors.ts";
import { MAX_REMOTE_ANY_WANTS, MAX_REMOTE_WANTS, RECENT_BLOCKS, WANT_BLOCKS } from "./constants.ts";
import type { BitfieldMessage, BlockRange, Want } from "./messages.ts";
import type { RemoteBitfield } from "./remote_bitfield.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import type { TurnBudget } from "./turn_budget.ts";
import { RemoteWants } from "./wants.ts";

const MAX_PENDING = MAX_REMOTE_WANTS + MAX_REMOTE_ANY_WANTS;

/** What an {@linkcode Announcer} works with. */
export interface AnnouncerHost {
  /** What the peer has. */
  readonly remote: RemoteBitfield;
  /** How much may be sent in this turn. */
  readonly budget: TurnBudget;
  /** Sends a range. */
  sendRange(range: BlockRange): void;
  /** Sends a bitfield. */
  sendBitfield(bitfield: BitfieldMessage): void;
}

/** This side's blocks, as told to one peer. */
export class Announcer {
  readonly #log: ReplicatedLog;
  readonly #host: AnnouncerHost;
  readonly #wants = new RemoteWants();
  /** Wants that wait for room. */
  readonly #pending: Want[] = [];
  /** The length up to which the peer was told that everything is here. */
  #completeLength = 0;

  constructor(log: ReplicatedLog, host: AnnouncerHost) {
    this.#log = log;
    this.#host = host;
  }

  /** The peer is there: what there is without gaps. */
  begin(): void {
    const length = this.#contiguous;
    if (length === 0) return;
    if (length === this.#log.tree.length) this.#completeLength = length;
    this.#host.sendRange({ isDrop: false, start: 0, length });
  }

  /** Blocks have come, or are gone. */
  tell(start: number, end: number, isHeld: boolean): void {
    if (!isHeld) {
      this.#completeLength = Math.min(this.#completeLength, start);
      this.#host.sendRange({ isDrop: true, start, length: end - start });
      return;
    }
    const { length } = this.#log.tree;
    if (this.#contiguous === length) {
      this.#tellComplete(length);
      return;
    }
    if (start + RECENT_BLOCKS < length && !this.#wants.overlaps(start, end)) return;
    if (this.#host.remote.hasAll(start, end)) return;
    this.#host.sendRange({ isDrop: false, start, length: end - start });
  }

  /** The log was cut: what was told of what is behind is void. */
  cut(length: number): void {
    this.#completeLength = Math.min(this.#completeLength, length);
  }

  /** The peer wants to know. */
  want(want: Want): void {
    if (!this.#wants.add(want)) return;
    if (this.#pending.length >= MAX_PENDING) {
      throw new ProtocolError("LIMIT_EXCEEDED", `More than ${MAX_PENDING} wants of the peer wait`);
    }
    this.#pending.push(want);
    this.pump();
  }

  /** The peer no longer wants to know. */
  unwant(want: Want): void {
    this.#wants.remove(want);
  }

  /** Answers what waits, as far as there is room. */
  pump(): void {
    while (this.#pending.length > 0 && this.#host.budget.hasRoom) this.#answer(this.#pending.shift()!);
  }

  get #contiguous(): number {
    return Math.min(this.#log.tree.length, this.#log.contiguousLength);
  }

  #tellComplete(length: number): void {
    if (this.#completeLength >= length) return;
    this.#completeLength = length;
    this.#host.sendRange({ isDrop: false, start: 0, length });
  }

  #answer({ start, length, isAny }: Want): void {
    if (this.#log.isFrozen || !isLogLength(start)) return;
    const contiguous = this.#contiguous;
    const end = Math.min(start + length, this.#log.tree.length);
    this.#host.budget.spend(16);
    if (
      start + length < contiguous || contiguous === this.#log.tree.length || (isAny && start < contiguous)
    ) {
      this.#host.sendRange({ isDrop: false, start: 0, length: contiguous });
    } else if (isAny) {
      const first = this.#log.held.firstSet(start);
      if (first !== -1 && first < end) this.#host.sendRange({ isDrop: false, start: first, length: 1 });
    } else if (start < end && length <= WANT_BLOCKS) {
      this.#sendBits(start, end);
    }
  }

  /** The bits of a region, from a multiple of 32 to one. */
  #sendBits(start: number, end: number): void {
    const from = start - start % 32;
    const bytes = new Uint8Array(4 * Math.ceil((end - from) / 32));
    if (this.#log.held.count(from, end) === 0) return;
    for (let at = from; at < end;) {
      const page = Math.floor(at / PAGE_BITS);
      const next = Math.min(end, (page + 1) * PAGE_BITS);
      const offset = (at - page * PAGE_BITS) / 8;
      const bits = this.#log.held.page(page)?.subarray(offset, offset + 4 * Math.ceil((next - at) / 32));
      if (bits !== undefined) bytes.set(bits, (at - from) / 8);
      at = next;
    }
    this.#host.budget.spend(bytes.length);
    this.#host.sendBitfield({ start: from, bytes });
  }
}

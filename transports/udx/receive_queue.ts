/**
 * What has come: in order it goes up at once, out of order it waits. Nothing waits beyond the window that was promised;
 * but what is next in order is taken up to twice the window. A sender of the reference kind does not count what was
 * acknowledged out of order, overshoots the window after a loss, and gives the stream up if we insist on what we said.
 */
import { ByteBlocks } from "./byte_blocks.ts";
import { DATA, END, MAX_SACK_RANGES, MAX_SEQ_AHEAD, MIN_WINDOW } from "./constants.ts";
import { seqAdd, seqDiff, writeRange } from "./packet.ts";

const INITIAL_RING = 16;
const NOTHING = new Uint8Array(0);
/** What a packet out of order costs beside its payload, in bytes: a flood of tiny ones must fill the room too. */
const PACKET_OVERHEAD_BYTES = 256;

/** What became of a packet. */
export type Reception = "taken" | "duplicate" | "dropped";

/** The receiving half of a stream. */
export class ReceiveQueue {
  readonly #windowBytes: number;
  /** Payloads out of order, by sequence number. */
  #ring: (Uint8Array | undefined)[] = new Array(INITIAL_RING).fill(undefined);
  #mask = INITIAL_RING - 1;
  #waitingBytes = 0;
  #waitingCount = 0;
  /** The ranges [start, end) of what waits out of order, ascending, flat. */
  readonly #ranges: number[] = [];
  #latest = 0;
  /** Bytes in order that nobody took when they came. */
  readonly #kept = new ByteBlocks();
  /** Payloads that have come in order with the packet under way; the first is borrowed from it. */
  readonly #fresh: Uint8Array[] = [];
  #freshHead = 0;
  #freshBytes = 0;
  #nextSeq: number;
  #endSeq = -1;
  #hasEnded = false;

  /** A queue that waits for packet `seq` first, promises `windowBytes`, and holds twice that at the most. */
  constructor(seq: number, windowBytes: number) {
    this.#nextSeq = seq;
    this.#windowBytes = windowBytes;
  }

  /** The sequence number that is waited for: what an acknowledgement says. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Bytes in order that nobody has taken. */
  get readyBytes(): number {
    return this.#kept.byteLength + this.#freshBytes;
  }

  /** Whether packets wait for an earlier one. */
  get hasGaps(): boolean {
    return this.#ranges.length > 0;
  }

  /** Whether the other side's last byte is in, taken or not. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What may be promised to the sender now, in bytes. */
  get window(): number {
    const room = this.#windowBytes - this.readyBytes;
    return room < Math.min(MIN_WINDOW, this.#windowBytes) ? 0 : room;
  }

  /** Takes a packet. `payload` is borrowed until {@linkcode settle}, which copies what was not taken until then. */
  receive(seq: number, type: number, payload: Uint8Array): Reception {
    const ahead = seqDiff(seq, this.#nextSeq);
    if (ahead < 0) return "duplicate";
    if (this.#hasEnded) return "dropped";
    if (this.#endSeq !== -1 && seqDiff(seq, this.#endSeq) > 0) return "dropped";
    if (ahead === 0) {
      if (this.readyBytes + this.#waitingBytes + payload.length > 2 * this.#windowBytes) return "dropped";
      this.#accept(type, payload);
      if (this.#waitingCount > 0) this.#drain();
      return "taken";
    }
    return this.#wait(seq, ahead, type, payload);
  }

  #accept(type: number, payload: Uint8Array): void {
    if ((type & END) !== 0) this.#hasEnded = true;
    this.#nextSeq = seqAdd(this.#nextSeq, 1);
    if (payload.length === 0 || (type & DATA) === 0) return;
    this.#fresh.push(payload);
    this.#freshBytes += payload.length;
  }

  #wait(seq: number, ahead: number, type: number, payload: Uint8Array): Reception {
    if (ahead >= MAX_SEQ_AHEAD) return "dropped";
    const waitingCost = this.#waitingBytes + this.#waitingCount * PACKET_OVERHEAD_BYTES;
    if (this.readyBytes + waitingCost + payload.length > this.#windowBytes) return "dropped";
    while (ahead >= this.#ring.length) this.#grow();
    const slot = seq & this.#mask;
    if (this.#ring[slot] !== undefined) return "duplicate";
    if ((type & END) !== 0) {
      // Nothing that is already here may lie behind the end.
      const last = this.#ranges[this.#ranges.length - 1];
      if (last !== undefined && seqDiff(last, seq) > 0) return "dropped";
      this.#endSeq = seq;
    }
    this.#ring[slot] = payload.length === 0 ? NOTHING : payload.slice();
    this.#waitingBytes += payload.length;
    this.#waitingCount++;
    this.#addToRanges(seq);
    this.#latest = seq;
    return "taken";
  }

  #addToRanges(seq: number): void {
    const ranges = this.#ranges;
    // Nearly always the newest packet extends or follows the last range: search from the end.
    let at = ranges.length;
    while (at > 0 && seqDiff(ranges[at - 2]!, seq) > 0) at -= 2;
    const joinsPrevious = at > 0 && ranges[at - 1] === seq;
    const joinsNext = at < ranges.length && ranges[at] === seqAdd(seq, 1);
    if (joinsPrevious && joinsNext) ranges.splice(at - 1, 2);
    else if (joinsPrevious) ranges[at - 1] = seqAdd(seq, 1);
    else if (joinsNext) ranges[at] = seq;
    else ranges.splice(at, 0, seq, seqAdd(seq, 1));
  }

  /** Moves what has become contiguous from waiting to ready. */
  #drain(): void {
    const ranges = this.#ranges;
    while (this.#waitingCount > 0) {
      const slot = this.#nextSeq & this.#mask;
      const payload = this.#ring[slot];
      if (payload === undefined) return;
      this.#ring[slot] = undefined;
      this.#waitingCount--;
      this.#waitingBytes -= payload.length;
      const isEnd = this.#nextSeq === this.#endSeq;
      this.#accept(isEnd ? DATA | END : DATA, payload);
      if (ranges[1] === this.#nextSeq) ranges.splice(0, 2);
      else ranges[0] = this.#nextSeq;
    }
  }

  #grow(): void {
    const old = this.#ring;
    const oldMask = this.#mask;
    this.#ring = new Array(old.length * 2).fill(undefined);
    this.#mask = this.#ring.length - 1;
    for (let i = 1; i < old.length; i++) {
      const seq = seqAdd(this.#nextSeq, i);
      this.#ring[seq & this.#mask] = old[seq & oldMask];
    }
  }

  /** The next bytes of the stream, or undefined. Borrowed until {@linkcode settle}. */
  take(): Uint8Array | undefined {
    const kept = this.#kept.shift();
    if (kept !== undefined) return kept;
    const payload = this.#fresh[this.#freshHead];
    if (payload === undefined) return undefined;
    this.#freshBytes -= payload.length;
    if (++this.#freshHead === this.#fresh.length) this.#fresh.length = this.#freshHead = 0;
    return payload;
  }

  /** The packet under way is about to be reused: copies what was not taken. */
  settle(): void {
    if (this.#fresh.length === 0) return;
    for (let i = this.#freshHead; i < this.#fresh.length; i++) this.#kept.append(this.#fresh[i]!);
    this.#fresh.length = this.#freshHead = this.#freshBytes = 0;
  }

  /**
   * Writes SACK ranges into `packet` from `at` on, at most as many as one packet may carry, and returns where they end.
   * When there are more, the last written is the one that grew most recently: the sender learns from it what still gets
   * through.
   */
  writeRanges(packet: Uint8Array, at: number): number {
    const ranges = this.#ranges;
    const count = Math.min(ranges.length, 2 * MAX_SACK_RANGES);
    const fits = count === ranges.length;
    const lowest = fits ? count : count - 2;
    for (let i = 0; i < lowest; i += 2) at = writeRange(packet, at, ranges[i]!, ranges[i + 1]!);
    if (fits) return at;
    for (let i = ranges.length - 2; i >= lowest; i -= 2) {
      if (seqDiff(ranges[i]!, this.#latest) > 0) continue;
      return writeRange(packet, at, ranges[i]!, ranges[i + 1]!);
    }
    return at;
  }

  /** Forgets all that waits: the stream is gone. */
  clear(): void {
    this.#ring = new Array(INITIAL_RING).fill(undefined);
    this.#mask = INITIAL_RING - 1;
    this.#kept.clear();
    this.#ranges.length =
      this.#fresh.length =
      this.#freshHead =
      this.#freshBytes =
        0;
    this.#waitingBytes = this.#waitingCount = 0;
  }
}

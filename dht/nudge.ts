/**
 * Repeats the first packet of a stream sooner than the stream would by itself: without a measured round trip UDX waits a second,
 * which is most of the time that connecting takes on a line that loses packets.
 */
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";

/**
 * When, in milliseconds from the start. Who is nudged has shown that it knows the id of our end, which was told under its key: the
 * source is not forged.
 */
const SCHEDULE_MS: readonly number[] = [150, 350, 650, 1100, 1700, 2400, 3200, 4200, 5400, 6800, 8400];

/** See the head of the file. Ends by itself as soon as anything is acknowledged. */
export class Nudge {
  readonly #clock: Clock;
  readonly #stream: UdxStream;
  readonly #remoteId: number;
  readonly #timer: Timer;
  #startedAt = 0;
  #step = 0;

  /** For `stream`, which is connected to the peer's stream `remoteId` and has written. */
  constructor(clock: Clock, stream: UdxStream, remoteId: number) {
    this.#clock = clock;
    this.#stream = stream;
    this.#remoteId = remoteId;
    this.#timer = clock.schedule(Infinity, () => this.#repeat());
    void stream.flush().then(() => this.stop());
    this.restart();
  }

  /** Begins anew, as after a change of the path. */
  restart(): void {
    this.#startedAt = this.#clock.now();
    this.#step = 0;
    this.#arm();
  }

  /** Ends it. */
  stop(): void {
    this.#step = Infinity;
    this.#timer.cancel();
  }

  #arm(): void {
    this.#timer.reset(this.#startedAt + (SCHEDULE_MS[this.#step] ?? Infinity));
  }

  #repeat(): void {
    const { socket, remoteAddress, isClosed } = this.#stream;
    if (isClosed || socket === undefined || remoteAddress === undefined) return;
    this.#stream.redirect(socket, this.#remoteId, remoteAddress);
    this.#step++;
    this.#arm();
  }
}

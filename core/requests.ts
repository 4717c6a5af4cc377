/** What a session waits for from peers, so that all of it can be given up. */
import { ConnectError, HyphaError } from "./runtime/errors.ts";
import type { Clock } from "./runtime/runtime.ts";
import type { WaitOptions } from "./hypercore_options.ts";

/** Requests of one session. */
export class Requests {
  readonly #clock: Clock;
  readonly #pending = new Set<AbortController>();

  /** Timeouts are measured with `clock`. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits for what `request` asks peers for.
   *
   * @throws {ConnectError} `REQUEST_TIMEOUT`; {HyphaError} `REQUEST_CANCELLED` or `SESSION_CLOSED` if all were given up;
   * the signal's reason.
   */
  async wait<T>(
    request: (signal: AbortSignal) => Promise<T>,
    { timeoutMs = 0, signal }: WaitOptions,
  ): Promise<T> {
    const controller = new AbortController();
    const onAbort = () => controller.abort(signal?.reason);
    const timer = timeoutMs > 0
      ? this.#clock.schedule(this.#clock.now() + timeoutMs, () => controller.abort(timeout(timeoutMs)))
      : undefined;
    this.#pending.add(controller);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await request(controller.signal);
    } finally {
      this.#pending.delete(controller);
      signal?.removeEventListener("abort", onAbort);
      timer?.cancel();
    }
  }

  /** Gives all of them up. */
  cancel(reason: unknown = new HyphaError("REQUEST_CANCELLED", "The request was given up")): void {
    for (const controller of [...this.#pending]) controller.abort(reason);
  }
}

function timeout(ms: number): ConnectError {
  const text =
    `No peer answered within ${ms} ms: wait longer, or look whether anybody has it with syncState()`;
  return new ConnectError("REQUEST_TIMEOUT", text);
}

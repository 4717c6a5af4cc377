/** Waiting for what may never come. */
import type { Clock } from "../core/runtime/runtime.ts";

/** Resolves when `promise` settles, in whatever way, or after `ms`. */
export function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.schedule(clock.now() + ms, resolve);
    const done = () => {
      timer.cancel();
      resolve();
    };
    promise.then(done, done);
  });
}

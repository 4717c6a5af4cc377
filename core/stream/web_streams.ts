/**
 * Web Streams for a {@linkcode PromisePipe}, for those who want them: a chunk then costs about ten times as much.
 */
import type { PromisePipe } from "./promise_pipe.ts";

/** What the streams do beyond the pipe. */
export interface WebStreamHooks {
  /** The readable was cancelled: nobody will read on. */
  onCancel(): void;
  /** The writable was aborted. */
  onAbort(reason: unknown): void;
}

/** The incoming direction. Nothing is fetched before somebody reads: the pipe does the buffering. */
export function readableOf(pipe: PromisePipe, hooks: WebStreamHooks): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await pipe.read();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: () => hooks.onCancel(),
  }, { highWaterMark: 0 });
}

/** The outgoing direction. Closing it ends the direction. */
export function writableOf(pipe: PromisePipe, hooks: WebStreamHooks): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    write: (chunk) => pipe.write(chunk),
    close: () => pipe.end(),
    abort: (reason) => hooks.onAbort(reason),
  });
}

/** Appending what is written to a stream. */

/** Values that may wait to be appended together. */
const MAX_WAITING = 16;

/** A stream whose chunks are given to `append`, those that come in one go together. Closing waits for all. */
export function writeStream<V>(append: (values: V[]) => Promise<unknown>): WritableStream<V> {
  return new WritableStream<V>({
    async write(value): Promise<void> {
      await append([value]);
    },
  }, { highWaterMark: MAX_WAITING });
}

/**
 * A folder on the disk, whose files are read.
 */
import { StorageError, toError } from "../../runtime/errors.ts";
import type { ReadableFile, ReadableFolder } from "./files.ts";

/**
 * Opens the folder at `path` for reading.
 *
 * @throws {StorageError} STORE_UNKNOWN if there is none; READ_FAILED.
 */
export async function openReadableFolder(path: string): Promise<ReadableFolder> {
  const [fs, { join }] = await Promise.all([import("node:fs"), import("node:path")]);
  const attempt = <T>(what: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof StorageError) throw error;
      const text = `${what} could not be read: ${toError(error).message}`;
      throw new StorageError("READ_FAILED", text, { cause: error });
    }
  };
  if (!fs.existsSync(path)) throw new StorageError("STORE_UNKNOWN", `There is no folder ${path}`);
  return {
    path,
    names: () => attempt(path, () => fs.readdirSync(path)),
    open(name): ReadableFile | undefined {
      const place = join(path, name);
      return attempt(place, () => {
        if (!fs.existsSync(place)) return undefined;
        const descriptor = fs.openSync(place, "r");
        const { size } = fs.fstatSync(descriptor);
        return {
          name: place,
          size,
          read: (offset, length) =>
            attempt(place, () => {
              const bytes = new Uint8Array(length);
              for (let done = 0; done < length;) {
                const count = fs.readSync(descriptor, bytes, done, length - done, offset + done);
                if (count === 0) throw new Error(`it ends before byte ${offset + length}`);
                done += count;
              }
              return bytes;
            }),
          close: () => fs.closeSync(descriptor),
        };
      });
    },
  };
}

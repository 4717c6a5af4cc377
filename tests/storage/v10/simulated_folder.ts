/** A folder on a simulated disk. */
import type { SimulatedDisk } from "../../../core/storage/mod.ts";
import type { FileFolder, RandomAccessFile } from "../../../core/storage/files.ts";

/** All files of a disk; what is removed is cut to nothing, since the disk has no folders. */
export class SimulatedFolder implements FileFolder {
  readonly #disk: SimulatedDisk;
  readonly #names: readonly string[];

  /** `names` are the paths of files that are on the disk already, as far as somebody wants to list them. */
  constructor(disk: SimulatedDisk, names: readonly string[] = []) {
    this.#disk = disk;
    this.#names = names;
  }

  file(path: string): RandomAccessFile {
    const file = this.#disk.file(path);
    return {
      size: () => file.size,
      read: (offset, length) => file.read().subarray(offset, offset + length),
      write: (offset, bytes) => file.write(offset, bytes),
      truncate: (size) => file.truncate(size),
      sync: async () => file.sync(),
    };
  }

  names(path: string): string[] {
    const start = path === "" ? "" : path + "/";
    const inside = this.#names.filter((name) => name.startsWith(start));
    return [...new Set(inside.map((name) => name.slice(start.length).split("/")[0]!))];
  }

  remove(path: string): void {
    this.#disk.file(path).truncate(0);
  }

  close(): void {}
}

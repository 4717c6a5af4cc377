/**
 * Opens a deferred engine, and repeats what the one before had not brought below.
 */
import { Cursor } from "../../../encoding/codec.ts";
import { type Engine, transact } from "../engine.ts";
import type { FileFolder } from "../files.ts";
import { engineChange } from "../journal.ts";
import { NO_LAYER } from "../layers.ts";
import type { Durability } from "../storage.ts";
import { DeferredEngine } from "./engine.ts";
import { decodeMark, encodeMark, MARK } from "./mark.ts";
import { applyChanges, type PendingChange } from "./pending.ts";
import { decodePlace } from "./place.ts";
import { Ring } from "./ring.ts";
import { ValueFiles } from "./value_files.ts";

/** The most bytes of the ring: a disk of 200 MB/s has time for 500 MB of blocks of 4 KiB before it is full. */
const RING_BYTES = 2 ** 24;

/** Epochs that one opening of a store may begin. */
const EPOCHS_PER_OPENING = 2 ** 32;

/** What a deferred engine is opened with. */
export interface DeferredOptions {
  /** Where all goes in the end. It may hold something already. */
  readonly below: Engine;
  /** Where files are kept. It is closed with the engine. */
  readonly folder: FileFolder;
  /** What the names of these files begin with. */
  readonly name: string;
  /** What `sync` waits for. */
  readonly durability: Durability;
  /** The most bytes of the ring; 16 MiB by default. */
  readonly ringBytes?: number;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
}

/** The name of the file that a store whose files begin with `name` keeps its latest transactions in. */
export const ringName = (name: string): string => `${name}-pending`;
/** What the names of its files of large blocks begin with. */
export const valuesPrefix = (name: string): string => `${name}-values-`;

/** Opens it. @throws {StorageError} STORE_CORRUPT, READ_FAILED, WRITE_FAILED, DISK_FULL. */
export async function openDeferred(options: DeferredOptions): Promise<DeferredEngine> {
  const { below, folder, name, durability, crc32 } = options;
  const { epoch, number, position } = decodeMark(below.getNamed(NO_LAYER, MARK));
  const file = folder.file(ringName(name));
  const ring = new Ring({ file, capacity: options.ringBytes ?? RING_BYTES, crc32 }, position);
  const values = new ValueFiles({
    folder,
    prefix: valuesPrefix(name),
    crc32,
    mustSync: durability !== "none",
  });
  const mark = { epoch, number, position };
  let isTorn = false;
  if (file.size() > 0) {
    const changes: PendingChange[] = [];
    for (const frame of ring.frames(mark)) {
      const decoded = decodeFrame(frame.body);
      const isWhole = decoded.every((change) =>
        change.type !== "put" || change.kind !== "place" ||
        values.readIfWhole(decodePlace(change.value)) !== undefined
      );
      // The medium may have had the frame and not its values: then nobody was told that it is safe.
      if (!isWhole) break;
      changes.push(...decoded);
      mark.number = frame.number;
      mark.position = frame.end;
    }
    isTorn = ring.isTorn({ epoch, number: mark.number + 1 });
    await values.sync();
    // What is behind the last frame may be whole, and must not come back when the gap is filled. It may be of a later epoch, if
    // the power took the transactions that began it; there are never as many as that.
    mark.epoch = (Math.floor(mark.epoch / EPOCHS_PER_OPENING) + 1) * EPOCHS_PER_OPENING;
    transact(below, () => {
      applyChanges(below, changes, (layer, index, place) => below.put(layer, "place", index, place));
      below.putNamed(NO_LAYER, MARK, encodeMark(mark));
    });
    // Only then may what was repeated be written over.
    await below.sync();
  }
  return new DeferredEngine({
    below,
    ring: new Ring({ file, capacity: options.ringBytes ?? RING_BYTES, crc32 }, mark.position),
    values,
    durability,
    epoch: mark.epoch,
    number: mark.number,
    isTorn,
    close(isEmpty) {
      if (isEmpty) folder.remove(ringName(name));
      folder.close();
    },
  });
}

function decodeFrame(body: Uint8Array): PendingChange[] {
  const changes: PendingChange[] = [];
  for (const cursor = new Cursor(body); cursor.remaining > 0;) {
    changes.push(engineChange.decode(cursor) as PendingChange);
  }
  return changes;
}

/**
 * A deferred engine on a simulated disk, with memory and a journal where a store has SQLite.
 */
import { crc32 } from "node:zlib";
import { openDeferred } from "../../core/storage/deferred/open.ts";
import { JournaledEngine } from "../../core/storage/journal.ts";
import { LayeredStore } from "../../core/storage/layered_store.ts";
import { MemoryEngine } from "../../core/storage/memory.ts";
import type { FileFolder, SimulatedDisk } from "../../core/storage/mod.ts";
import { SimulatedFolder } from "./v10/simulated_folder.ts";

/** The store on `disk`, whose ring is so small that it goes round many times. */
export async function openDeferredOn(
  disk: SimulatedDisk,
  ringBytes = 12_000,
  folder: FileFolder = new SimulatedFolder(disk, disk.names),
): Promise<LayeredStore> {
  const engine = await openDeferred({
    below: new JournaledEngine(new MemoryEngine(), disk.file("below")),
    folder,
    name: "store",
    durability: "full",
    ringBytes,
    crc32: (bytes, start) => bytes.length === 0 ? start : crc32(bytes, start),
  });
  return new LayeredStore(engine, "full");
}

/** A process that writes to the store in the folder that it is told, and keeps it open until it is killed. */
import process from "node:process";
import { openV10Store } from "../../../core/storage/mod.ts";
import { LogWriterForTests } from "./writer.ts";

const store = await openV10Store(process.argv[2]!);
await (await LogWriterForTests.open(store, { seed: 1 })).append([Uint8Array.of(1)]);
await store.sync();
process.stdout.write("open\n");
await new Promise((resolve) => setTimeout(resolve, 60_000));

/**
 * The command lines of `hypha log`.
 */
import { type Command, InvalidArgumentError } from "commander";
import { logInfo, logList } from "./log_info.ts";
import { type CatOptions, logCat, logTail, type ReadOptions, type TailOptions } from "./log_read.ts";
import { logSeed, type SeedOptions } from "./log_seed.ts";
import type { StoreOptions } from "./log_store.ts";
import {
  type AppendOptions,
  type CreateOptions,
  logAppend,
  logCreate,
  logRemove,
  type RemoveOptions,
} from "./log_write.ts";
import { parseBytes, parseCount, parsePort, parseSeed, withJson, withNetworkOptions } from "./options.ts";
import { type JsonOption, run } from "./run.ts";
import { storeFolder } from "./store_folder.ts";

/** Bytes of a block of a file: what other programs of the stack use, and a good deal below what a message may have. */
const FILE_BLOCK_BYTES = 65_536;
const MAX_BLOCK_BYTES = 4_000_000;
/** Seconds that a block is waited for. */
const TIMEOUT_S = 30;

/** Adds `hypha log` with its commands. */
export function addLogCommands(program: Command): void {
  const log = program.command("log").description(
    "append-only logs: signed by their writer, kept in a store on disk, read and passed on by anybody with the key",
  );
  addWriting(log);
  addReading(log);
  addStoring(log);
}

function addWriting(log: Command): void {
  withStore(withJson(log.command("create")))
    .description("make a log that this store writes, and print its key, with which others read it")
    .argument("<name>", "what to call it here; nobody else sees that")
    .option(
      "--encryption-key [hex]",
      "encrypt its blocks with these 32 bytes; without them, with fresh ones",
      parseSeed,
    )
    .action((name: string, options: CreateOptions & JsonOption) =>
      run(options, (reporter) => logCreate(name, options, reporter))
    );

  withPeers(withStore(log.command("append")))
    .description("append each line of standard input as a block; what is reported is on disk")
    .argument("<log>", "its name, or its key")
    .option("--file <path>", "append the bytes of a file instead, in blocks of --block-size")
    .option("--block-size <bytes>", "bytes of such a block", parseBlockSize, FILE_BLOCK_BYTES)
    .option("--live", "serve the log to peers meanwhile, and afterwards until interrupted")
    .option("--hints", "with --live: print a ticket, for readers that cannot look this side up")
    .option("--port <number>", "with --live: the port of UDX and TCP; 0 = any", parsePort, 0)
    .action((name: string, options: AppendOptions & JsonOption) =>
      run(options, (reporter, signal) => logAppend(name, options, reporter, signal), { readsInput: true })
    );
}

function addReading(log: Command): void {
  withReading(log.command("cat"))
    .description("print the blocks of a log, a line each; what is not in the store is fetched from peers")
    .option("--start <block>", "the first block", parseCount, 0)
    .option("--end <block>", "the block behind the last", parseCount)
    .action((which: string, options: CatOptions) =>
      run(options, (reporter, signal) => logCat(which, options, reporter, signal), readingOf(options))
    );

  withReading(log.command("tail"))
    .description("print the last blocks of a log, and with -f what is appended from then on")
    .option("-n, --lines <number>", "how many blocks", parseCount, 10)
    .option("-f, --follow", "go on until interrupted, as the writer appends")
    .action((which: string, options: TailOptions) =>
      run(options, (reporter, signal) => logTail(which, options, reporter, signal), readingOf(options))
    );
}

function addStoring(log: Command): void {
  withPeers(withStore(log.command("seed")))
    .description("serve logs to peers and fetch what is missing of them, until interrupted")
    .argument("[logs...]", "keys or names; all logs of the store if there are none")
    .option("--hints", "print a ticket, for peers that cannot look this side up")
    .option("--port <number>", "port for direct connections, of UDX and TCP; 0 = any", parsePort, 0)
    .action((logs: string[], options: SeedOptions & JsonOption) =>
      run(options, (reporter, signal) => logSeed(logs, options, reporter, signal))
    );

  withStore(withJson(log.command("info")))
    .description("tell how long a stored log is, and how much of it is here")
    .argument("<log>", "its key, or its name")
    .action((which: string, options: StoreOptions & JsonOption) =>
      run(options, (reporter) => logInfo(which, options, reporter))
    );

  withStore(withJson(log.command("list")))
    .description("list the logs of the store")
    .action((options: StoreOptions & JsonOption) => run(options, (reporter) => logList(options, reporter)));

  withStore(withJson(log.command("remove")))
    .description("remove a log from the store, and give its room back to the disk")
    .argument("<log>", "its key, or its name")
    .option("--force", "even if it is written here, which nobody can do any more then")
    .action((name: string, options: RemoveOptions & JsonOption) =>
      run(options, (reporter) => logRemove(name, options, reporter))
    );
}

function withStore(command: Command): Command {
  const description = "the folder of the store, or its file; HYPHA_STORE says another default";
  return command.option("--store <folder>", description, storeFolder());
}

function withPeers(command: Command): Command {
  return withNetworkOptions(command)
    .option("--peer <tickets>", "connect to these peers as well (what --hints prints, commas between)");
}

function withReading(command: Command): Command {
  return withPeers(withStore(command))
    .argument("<log>", "its key, or its name")
    .option("--no-store", "keep nothing on disk")
    .option("--offline", "print only what is in the store")
    .option("--encryption-key <hex>", "what its blocks are encrypted with", parseSeed)
    .option("--timeout <seconds>", "how long to wait for a block that no peer sends", parseCount, TIMEOUT_S)
    .option("--raw", "print the bytes of the blocks with nothing between them");
}

/** Standard output is for the blocks, and with --json for everything. */
function readingOf({ json }: Pick<ReadOptions, "json">): { readonly onStderr: boolean } {
  return { onStderr: json !== true };
}

function parseBlockSize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes >= 1 && bytes <= MAX_BLOCK_BYTES) return bytes;
  throw new InvalidArgumentError("A block has 1 byte to 4 MB.");
}

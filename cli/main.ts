/**
 * The `hypha` command.
 */
import process from "node:process";
import { Command, CommanderError } from "commander";
import { bootstrap, type BootstrapOptions } from "./bootstrap.ts";
import { dhtAnnounce, dhtGet, dhtLookup, dhtPut, type PutOptions } from "./dht.ts";
import type { DhtCommandOptions } from "./dht_node.ts";
import { addLogCommands } from "./log_program.ts";
import {
  checkWays,
  parseBootstrap,
  parseBytes,
  parseCount,
  parseIpv4Host,
  parseOpenPort,
  parsePort,
  relayOption,
  seedOption,
  UsageError,
  type WayOptions,
  withDhtOptions,
  withJson,
  withWayOptions,
} from "./options.ts";
import { connect, listen, type PipeOptions } from "./pipe.ts";
import { receive, type ReceiveOptions } from "./receive.ts";
import { relay, type RelayOptions } from "./relay.ts";
import { Reporter } from "./reporter.ts";
import { EXIT_USAGE, type JsonOption, run } from "./run.ts";
import { send, type SendOptions } from "./send.ts";
import {
  type ExportOptions,
  type ImportOptions,
  storeExport,
  storeGc,
  storeImport,
  storeRepair,
  storeStat,
  storeVerify,
} from "./store.ts";
import { storeFolder } from "./store_folder.ts";

const program = new Command("hypha")
  .description("Connects machines directly: files, streams, logs, values, without a server in between.")
  .showHelpAfterError("(run with --help for usage)")
  .exitOverride();

withWayOptions(
  program.command("send")
    .description("offer a file; prints a ticket for the receiver, which is just a key where the DHT works")
    .argument("<file>", "the file to send")
    .option("--keep", "serve any number of receivers, until interrupted")
    .option("--hints", "put addresses into the ticket as well")
    .option("--port <number>", "port for direct connections, of UDP and TCP; 0 = any", parsePort, 0),
).action((file: string, options: SendOptions & JsonOption) =>
  run(options, async (reporter, signal) => {
    checkWays(options);
    if (options.topic !== undefined && options.hints) {
      throw new UsageError("--hints is for tickets, and with --topic there is none: leave one of them out");
    }
    await send(file, { ...options, keep: options.keep === true }, reporter, signal);
  })
);

withWayOptions(
  program.command("receive")
    .description("fetch the file that a ticket offers, or the first that is offered under a topic")
    .argument("[ticket]", "what `hypha send` printed")
    .option("--out <folder>", "where to put the file", ".")
    .option("--force", "replace a file of the same name"),
).action((ticket: string | undefined, options: ReceiveOptions & JsonOption) =>
  run(options, async (reporter, signal) => {
    checkWays(options);
    checkTicket(ticket, options);
    await receive(
      { ...options, ...(ticket === undefined ? {} : { ticket }), force: options.force === true },
      reporter,
      signal,
    );
  })
);

function checkTicket(ticket: string | undefined, { topic }: WayOptions): void {
  if (ticket === undefined && topic === undefined) {
    throw new UsageError("What to receive? Give the ticket that `hypha send` printed, or --topic <words>");
  }
  if (ticket !== undefined && topic !== undefined) {
    throw new UsageError(
      `A ticket or a topic, not both: ${
        JSON.stringify(ticket)
      } is one too many (quote topics of several words)`,
    );
  }
}

withDhtOptions(program.command("listen"))
  .description(
    "print a key, and join the standard streams with who connects to it, one after the other; " +
      "what else there is to report goes to standard error",
  )
  .addOption(seedOption("make the key of this seed, so that it stays the same"))
  .addOption(relayOption())
  .option("--echo", "send back what comes instead, to any number of peers")
  .action((options: PipeOptions & JsonOption & { echo?: boolean }) =>
    run(
      options,
      (reporter, signal) => listen({ ...options, echo: options.echo === true }, reporter, signal),
      {
        onStderr: options.echo !== true,
        readsInput: true,
      },
    )
  );

withDhtOptions(program.command("connect"))
  .description("connect to a key, and join the standard streams with it; reports go to standard error")
  .argument("<key>", "what `hypha listen` printed, in z-base-32 or hexadecimal")
  .addOption(seedOption("connect as the key of this seed"))
  .addOption(relayOption())
  .action((key: string, options: PipeOptions & JsonOption) =>
    run(options, (reporter, signal) => connect(key, options, reporter, signal), {
      onStderr: true,
      readsInput: true,
    })
  );

withJson(
  program.command("bootstrap")
    .description(
      "run a node that others can start from; the first of a network of your own without --bootstrap",
    )
    .option("--port <number>", "UDP port", parseOpenPort, 49737)
    .option("--host <address>", "the IPv4 address at which others see it", parseIpv4Host)
    .option(
      "--bootstrap <nodes>",
      "take part in the network of these nodes (host:port, commas between)",
      parseBootstrap,
    )
    .option(
      "--health-port <number>",
      "answer on http://127.0.0.1:<number> with the node's health as JSON",
      parseOpenPort,
    ),
).action((options: BootstrapOptions & JsonOption) =>
  run(options, (reporter, signal) => bootstrap(options, reporter, signal))
);

withDhtOptions(
  program.command("relay")
    .description("run a blind relay for peers that have no direct way to each other; it cannot read anything")
    .addOption(seedOption("make its key of this seed, so that it stays the same"))
    .option("--port <number>", "UDP port; 0 = any", parsePort, 0)
    .option("--max-pairs <number>", "pairs of peers at a time (default: 1024)", parseCount)
    .option("--max-pairs-per-key <number>", "the same of one key (default: 64)", parseCount)
    .option("--max-rate <bytes>", "bytes a second in all, such as 500k or 20M (default: 16.8M)", parseBytes)
    .option("--max-rate-per-key <bytes>", "the same of one key (default: 2.1M)", parseBytes)
    .option("--max-bytes-per-key <bytes>", "bytes of one key within a period (default: 17.2G)", parseBytes)
    .option("--period <seconds>", "how long until a key may use its bytes again (default: a day)", parseCount)
    .option("--idle <seconds>", "close pairs that are silent for so long (default: 120)", parseCount)
    .option(
      "--health-port <number>",
      "answer on http://127.0.0.1:<number> with figures as JSON",
      parseOpenPort,
    ),
).action((options: RelayOptions & JsonOption) =>
  run(options, (reporter, signal) => relay(options, reporter, signal))
);

const dht = program.command("dht").description("values and announcements in the DHT, by hand");

withDhtOptions(dht.command("put"))
  .description("store a text under its hash; with --seed under the public key of that")
  .argument("<value>", "at most 1024 bytes")
  .addOption(seedOption("sign it, so that it can be replaced later"))
  .option("--seq <number>", "its sequence number; must grow", parseCount, 0)
  .action((value: string, options: PutOptions & JsonOption) =>
    run(options, (reporter, signal) => dhtPut(value, options, reporter, signal))
  );

withDhtOptions(dht.command("get"))
  .description("fetch the text of a hash or of a public key")
  .argument("<key>", "what `hypha dht put` printed")
  .action((key: string, options: DhtCommandOptions & JsonOption) =>
    run(options, (reporter, signal) => dhtGet(key, options, reporter, signal))
  );

withDhtOptions(dht.command("lookup"))
  .description("list who has announced a topic")
  .argument("<topic>", "any words, or 64 hexadecimal digits")
  .action((topic: string, options: DhtCommandOptions & JsonOption) =>
    run(options, (reporter, signal) => dhtLookup(topic, options, reporter, signal))
  );

withDhtOptions(dht.command("announce"))
  .description("announce a topic until interrupted")
  .argument("<topic>", "any words, or 64 hexadecimal digits")
  .addOption(seedOption("announce the key of this seed"))
  .action((topic: string, options: DhtCommandOptions & JsonOption) =>
    run(options, (reporter, signal) => dhtAnnounce(topic, options, reporter, signal))
  );

addLogCommands(program);

const store = program.command("store").description("stores of logs: import, check, count");
/** The store of hypha that is not named. */
const STORE = storeFolder();

withJson(store.command("import"))
  .description(
    "copy all logs of a corestore 6 or 7, or of a store of hypha; go on with a copy that was interrupted",
  )
  .argument("<source>", "its folder or file, which is only read, and which no program may be using")
  .option("--store <path>", "the store to copy to, a folder or a file", STORE)
  .option("--dry-run", "check everything, and write nothing")
  .option(
    "--keep-unproven",
    "take blocks along that lack what would prove them; hypercore 11 leaves some behind",
  )
  .action((source: string, options: ImportOptions & JsonOption) =>
    run(options, (reporter, signal) => storeImport(source, options, reporter, signal))
  );

withJson(store.command("export"))
  .description("copy logs, all or those of the keys, to another store")
  .argument("<target>", "its folder or file")
  .argument("[keys...]", "keys of logs; with any, the primary key stays behind")
  .option(
    "--to <kind>",
    "v10: a folder that corestore 6 and hypercore 10 open; sqlite: a file for hypha",
    "v10",
  )
  .option("--store <path>", "the store to copy from", STORE)
  .option("--dry-run", "check everything, and write nothing")
  .action((target: string, keys: string[], options: ExportOptions & JsonOption) =>
    run(options, (reporter, signal) => storeExport(target, keys, options, reporter, signal))
  );

withJson(store.command("verify"))
  .description("check each signature, node and block")
  .argument("[path]", "a store of any kind", STORE)
  .action((path: string, options: JsonOption) =>
    run(options, (reporter, signal) => storeVerify(path, reporter, signal))
  );

withJson(store.command("repair"))
  .description("mend what can be mended without peers, and tell the rest")
  .argument("[path]", "a store of hypha, or one of corestore 6", STORE)
  .option("--dry-run", "check everything, and write nothing")
  .action((path: string, options: { dryRun?: boolean } & JsonOption) =>
    run(options, (reporter, signal) => storeRepair(path, options, reporter, signal))
  );

withJson(store.command("stat"))
  .description("list the logs of a store, and what they hold")
  .argument("[path]", "a store of any kind", STORE)
  .action((path: string, options: JsonOption) =>
    run(options, (reporter, signal) => storeStat(path, reporter, signal))
  );

withJson(store.command("gc"))
  .description("remove what no log refers to, and give room that holds nothing back to the disk")
  .argument("[path]", "a store of hypha", STORE)
  .action((path: string, options: JsonOption) => run(options, (reporter) => storeGc(path, reporter)));

try {
  await program.parseAsync(process.argv.slice(2), { from: "user" });
} catch (error) {
  // The parser has said already what is wrong, in words for people; programs get it on stdout.
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode !== 0) {
    process.exitCode = EXIT_USAGE;
    if (process.argv.includes("--json")) {
      new Reporter({ isJson: true }).report({ event: "error", code: "USAGE", message: error.message });
    }
  }
}

/**
 * The `hypha` command.
 */
import process from "node:process";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { DecodeError } from "../encoding/mod.ts";
import { HyphaError } from "../core/runtime/errors.ts";
import { bootstrap, type BootstrapOptions } from "./bootstrap.ts";
import { dhtAnnounce, dhtGet, dhtLookup, dhtPut, type PutOptions } from "./dht.ts";
import { type DhtCommandOptions, parseBootstrap } from "./dht_node.ts";
import { connect, listen } from "./pipe.ts";
import { receive } from "./receive.ts";
import { Reporter } from "./reporter.ts";
import { send } from "./send.ts";

/** Exit codes: as shells have them for an interrupted program, and for a wrong command line. */
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

interface JsonOption {
  readonly json?: boolean;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new InvalidArgumentError("0 to 65535 is a port.");
  }
  return port;
}

/** Runs a command: reports its error, and ends it in order when the user interrupts. */
async function run(
  options: JsonOption,
  command: (reporter: Reporter, signal: AbortSignal) => Promise<void>,
  onStderr: boolean = false,
): Promise<void> {
  const reporter = new Reporter({ isJson: options.json === true, onStderr });
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort(new Error("Interrupted"));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
  try {
    await command(reporter, interrupted.signal);
  } catch (error) {
    const code = interrupted.signal.aborted ? "INTERRUPTED" : codeOf(error);
    reporter.report({ event: "error", code, message: (error as Error).message });
    process.exitCode = interrupted.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
}

function codeOf(error: unknown): string {
  if (error instanceof HyphaError) return error.code;
  if (error instanceof TypeError || error instanceof RangeError) return "INVALID_ARGUMENT";
  if (error instanceof DecodeError) return "DECODING_ERROR";
  return "FAILED";
}

const program = new Command("hypha")
  .description("Connects machines directly: files, streams, values, without a server in between.")
  .showHelpAfterError("(run with --help for usage)")
  .exitOverride();

program.command("send")
  .description("offer a file; prints a ticket for the receiver")
  .argument("<file>", "the file to send")
  .option("--host <address>", "address to listen on", "0.0.0.0")
  .option("--port <number>", "port to listen on, of UDP and TCP; 0 = any", parsePort, 0)
  .option("--keep", "serve any number of receivers, until interrupted")
  .option("--json", "print one JSON object a line")
  .action((file: string, options: JsonOption & { host: string; port: number; keep?: boolean }) =>
    run(
      options,
      (reporter, signal) => send(file, { ...options, keep: options.keep === true }, reporter, signal),
    )
  );

program.command("receive")
  .description("fetch the file that a ticket offers")
  .argument("<ticket>", "what `hypha send` printed")
  .option("--out <folder>", "where to put the file", ".")
  .option("--force", "replace a file of the same name")
  .option("--json", "print one JSON object a line")
  .action((ticket: string, options: JsonOption & { out: string; force?: boolean }) =>
    run(
      options,
      (reporter, signal) => receive(ticket, { ...options, force: options.force === true }, reporter, signal),
    )
  );

/** Adds the options of a command that uses the DHT. */
function withDhtOptions(command: Command): Command {
  return command
    .option(
      "--bootstrap <nodes>",
      "start from these nodes (host:port, commas between), not from the public ones",
      commaList,
    )
    .option("--host <address>", "address to bind", "0.0.0.0")
    .option("--json", "print one JSON object a line");
}

function commaList(text: string): string[] {
  try {
    return parseBootstrap(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

type DhtJsonOptions = DhtCommandOptions & JsonOption;

withDhtOptions(program.command("listen"))
  .description("print a key, and join the standard streams with who connects to it")
  .option("--seed <hex>", "make the key of this seed, so that it stays the same")
  .option("--echo", "send back what comes instead")
  .action((options: DhtJsonOptions & { echo?: boolean }) =>
    run(options, (reporter, signal) => listen({ ...options, echo: options.echo === true }, reporter, signal))
  );

withDhtOptions(program.command("connect"))
  .description("connect to a key, and join the standard streams with it; reports go to standard error")
  .argument("<key>", "what `hypha listen` printed")
  .action((key: string, options: DhtJsonOptions) =>
    run(options, (reporter, signal) => connect(key, options, reporter, signal), true)
  );

program.command("bootstrap")
  .description(
    "run a node that others can start from; the first of a network of your own without --bootstrap",
  )
  .option("--port <number>", "UDP port", parsePort, 49737)
  .option("--host <address>", "the IPv4 address at which others see it")
  .option(
    "--bootstrap <nodes>",
    "take part in the network of these nodes (host:port, commas between)",
    commaList,
  )
  .option(
    "--health-port <number>",
    "answer on http://127.0.0.1:<number> with the node's health as JSON",
    parsePort,
  )
  .option("--json", "print one JSON object a line")
  .action((options: BootstrapOptions & JsonOption) =>
    run(options, (reporter, signal) => bootstrap(options, reporter, signal))
  );

const dht = program.command("dht").description("values and announcements in the DHT, by hand");

withDhtOptions(dht.command("put"))
  .description("store a text under its hash; with --seed under the public key of that")
  .argument("<value>", "at most 1024 bytes")
  .option("--seed <hex>", "sign it, so that it can be replaced later")
  .option("--seq <number>", "its sequence number; must grow", Number, 0)
  .action((value: string, options: PutOptions & JsonOption) =>
    run(options, (reporter) => dhtPut(value, options, reporter))
  );

withDhtOptions(dht.command("get"))
  .description("fetch the text of a hash or of a public key")
  .argument("<key>", "what `hypha dht put` printed")
  .action((key: string, options: DhtJsonOptions) =>
    run(options, (reporter) => dhtGet(key, options, reporter))
  );

withDhtOptions(dht.command("lookup"))
  .description("list who has announced a topic")
  .argument("<topic>", "any words, or 64 hexadecimal digits")
  .action((topic: string, options: DhtJsonOptions) =>
    run(options, (reporter) => dhtLookup(topic, options, reporter))
  );

withDhtOptions(dht.command("announce"))
  .description("announce a topic until interrupted")
  .argument("<topic>", "any words, or 64 hexadecimal digits")
  .option("--seed <hex>", "announce the key of this seed")
  .action((topic: string, options: DhtJsonOptions) =>
    run(options, (reporter, signal) => dhtAnnounce(topic, options, reporter, signal))
  );

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

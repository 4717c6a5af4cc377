/**
 * The `hypha` command.
 */
import process from "node:process";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { DecodeError } from "../encoding/mod.ts";
import { HyphaError } from "../core/runtime/errors.ts";
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
): Promise<void> {
  const reporter = new Reporter({ isJson: options.json === true });
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
  .description("Hands files from one machine to another, encrypted, without a server in between.")
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

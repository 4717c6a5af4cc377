/**
 * How a command runs: its errors are reported, its exit code says how it went, and the user may interrupt it.
 */
import process from "node:process";
import { DecodeError } from "../encoding/mod.ts";
import { HyphaError } from "../core/runtime/errors.ts";
import { UsageError } from "./options.ts";
import { Reporter } from "./reporter.ts";

/** Exit codes: as shells have them for an interrupted program, and for a wrong command line. */
const [EXIT_FAILED, EXIT_INTERRUPTED] = [1, 130];
/** The exit code of a command line that makes no sense. */
export const EXIT_USAGE = 2;

/** What every command may be told. */
export interface JsonOption {
  /** Whether to report in JSON. */
  readonly json?: boolean;
}

/** What is special about a command. */
export interface RunOptions {
  /** Whether standard output is for data. */
  readonly onStderr?: boolean;
  /** Whether standard input may be read when the command ends: that alone would keep the program from ending. */
  readonly readsInput?: boolean;
}

/** Runs a command: reports its error, and ends it in order when the user interrupts. */
export async function run(
  options: JsonOption,
  command: (reporter: Reporter, signal: AbortSignal) => Promise<void>,
  { onStderr = false, readsInput = false }: RunOptions = {},
): Promise<void> {
  const reporter = new Reporter({ isJson: options.json === true, onStderr });
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort(new Error("Interrupted"));
  process.stdout.on("error", () => {
    interrupted.abort(new Error("Interrupted: nobody reads standard output any more"));
  });
  // Once: who is in a hurry interrupts twice.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
  try {
    await command(reporter, interrupted.signal);
  } catch (error) {
    const isInterrupted = interrupted.signal.aborted;
    const code = isInterrupted ? "INTERRUPTED" : codeOf(error);
    const { message } = (isInterrupted ? interrupted.signal.reason : error) as Error;
    reporter.report({ event: "error", code, message });
    process.exitCode = isInterrupted
      ? EXIT_INTERRUPTED
      : error instanceof UsageError
      ? EXIT_USAGE
      : EXIT_FAILED;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
  if (!readsInput) return;
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise((resolve) => stream.write("", resolve));
  }
  process.exit();
}

function codeOf(error: unknown): string {
  if (error instanceof UsageError) return "USAGE";
  if (error instanceof HyphaError) return error.code;
  if (error instanceof TypeError || error instanceof RangeError) return "INVALID_ARGUMENT";
  if (error instanceof DecodeError) return "DECODING_ERROR";
  return "FAILED";
}

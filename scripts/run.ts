/**
 * Runs other programs to their end, quietly: what they print matters only if they fail.
 */

/** What a program printed, and whether it succeeded. */
export interface Outcome {
  readonly success: boolean;
  /** Standard output. */
  readonly stdout: string;
  /** Standard output, then standard error. */
  readonly output: string;
}

/** Where and with what a program runs. */
export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `command` to its end. */
export function tryRun(command: string, args: readonly string[], options: RunOptions): Outcome {
  const { success, stdout, stderr } = new Deno.Command(command, {
    args: [...args],
    cwd: options.cwd,
    env: { NO_COLOR: "1", ...options.env },
    stdin: "null",
  }).outputSync();
  const text = new TextDecoder().decode(stdout);
  return { success, stdout: text, output: text + new TextDecoder().decode(stderr) };
}

/**
 * Runs `command` to its end and returns what it wrote to standard output.
 *
 * @throws {Error} with all that it printed, if it failed.
 */
export function run(command: string, args: readonly string[], options: RunOptions): string {
  const { success, stdout, output } = tryRun(command, args, options);
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${output.trimEnd()}`);
  return stdout;
}

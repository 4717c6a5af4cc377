/**
 * Fuzzes all targets in turn for a while: `deno task fuzz [--seconds N | --runs N] [--seed S] [--keep] [NAME...]`.
 *
 * A NAME takes in the targets that begin with it. With `--runs` each target gets so many inputs, however long that takes. What
 * fails is printed with its input, made as short as it gets; `--keep` adds it to `regressions/found.json`, from where every later
 * run of the tests replays it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadTargets, type Regression, toHex } from "./corpus.ts";
import type { Failure } from "./fuzzer.ts";
import { type FuzzOrder, type FuzzReport, SharedNote } from "./worker.ts";

/** A worker that stays with one input for longer than this, in milliseconds, never comes back. */
const STUCK_MS = 10_000;

const { values: options, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    runs: { type: "string" },
    seed: { type: "string", default: String(Date.now()) },
    keep: { type: "boolean", default: false },
  },
});

/** Resolves with the reports, or with the input at which the worker got stuck. */
function fuzz(order: FuzzOrder): Promise<FuzzReport[] | Failure> {
  const note = new SharedNote(order.shared);
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    let last = { count: -1, since: Date.now() };
    const watchdog = setInterval(() => {
      const { count, target, input } = note.read();
      if (count !== last.count) last = { count, since: Date.now() };
      else if (count > 0 && Date.now() - last.since > STUCK_MS) {
        settle(() =>
          resolve({ target: order.names[target]!, kind: "hang", message: "does not come back", input })
        );
      }
    }, 500);
    const settle = (finish: () => void) => {
      clearInterval(watchdog);
      worker.terminate();
      finish();
    };
    worker.onmessage = ({ data }: MessageEvent<FuzzReport[]>) => settle(() => resolve(data));
    worker.onerror = (event) => {
      event.preventDefault();
      settle(() => reject(new Error(event.message)));
    };
    worker.postMessage(order);
  });
}

function keep({ target, kind, message, input }: Failure): void {
  const file = new URL("./regressions/found.json", import.meta.url);
  const known: Regression[] = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
  known.push({ target, why: `${kind}: ${message.split("\n")[0]}`, input: toHex(input) });
  writeFileSync(file, JSON.stringify(known, null, 2) + "\n");
}

function tell(failure: Failure): void {
  console.log(`\nFAILED ${failure.target}: ${failure.kind}, seed ${options.seed}\n${failure.message}`);
  console.log(`input of ${failure.input.length} bytes: ${toHex(failure.input)}\n`);
  if (options.keep) keep(failure);
}

const names = (await loadTargets()).map(({ name }) => name)
  .filter((name) => positionals.length === 0 || positionals.some((wanted) => name.startsWith(wanted)));
const shared = new SharedArrayBuffer(SharedNote.SIZE);
const runs = options.runs === undefined ? Infinity : Number(options.runs);
const seconds = options.runs === undefined ? Number(options.seconds) : Infinity;
const outcome = await fuzz({ names, seconds, runs, seed: options.seed, shared });
let failed = 0;
if (Array.isArray(outcome)) {
  for (const { target, executions, milliseconds, failure } of outcome) {
    const rate = Math.round(executions * 1000 / milliseconds);
    console.log(`${target.padEnd(40)} ${String(executions).padStart(11)} runs ${String(rate).padStart(9)}/s`);
    if (failure !== undefined) {
      failed++;
      tell(failure);
    }
  }
} else {
  failed = 1;
  tell(outcome);
}
console.log(`fuzz, seed ${options.seed}: ${names.length - failed} passed, ${failed} failed`);
if (failed > 0 || names.length === 0) Deno.exit(1);

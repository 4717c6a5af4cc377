/**
 * Runs targets on made-up inputs and says what went wrong: a crash (an error that no stranger may cause), a hang (far more time
 * than the input explains) or an allocation (far more memory). The same seed gives the same inputs on every machine.
 */
import process from "node:process";
import { DecodeError } from "../../encoding/codec.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { makeInput } from "./inputs.ts";
import type { FuzzTarget } from "./target.ts";

/** A single input that takes longer than this, in milliseconds, each time it is tried, is a hang. */
const HANG_MS = 100;
/** A single input may hold on to this many bytes, and 64 times its own size. It is far above the noise of a collector. */
const MAX_ALLOCATION_BYTES = 4 << 20;
/** How often a hang or an allocation is measured before it is believed: a busy machine shows one by chance. */
const CONFIRMATIONS = 3;
/** Memory is measured for one input in this many: asking costs as much as hundreds of small inputs. */
const MEMORY_SAMPLE = 64;
/** Inputs that had a new kind of outcome become seeds, up to this many for a target. */
const MAX_CORPUS = 256;

/** Something that a target must not do. */
export interface Failure {
  readonly target: string;
  readonly kind: "crash" | "hang" | "allocation";
  readonly message: string;
  readonly input: Uint8Array;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? String(error) : `a thrown ${typeof error}: ${String(error)}`;
}

/** How one run went: the error if there was one, and a text that is the same for outcomes of the same kind. */
interface Outcome {
  readonly crash: string | undefined;
  readonly signature: string;
}

function runOnce(target: FuzzTarget, input: Uint8Array): Outcome {
  try {
    const outcome = target.run(input.slice());
    return { crash: undefined, signature: typeof outcome === "string" ? outcome : "returned" };
  } catch (error) {
    const expected = target.expected?.(error) ?? error instanceof DecodeError;
    const signature = error instanceof Error ? error.message.replace(/\d+/g, "0") : String(error);
    return { crash: expected ? undefined : describe(error), signature };
  }
}

function timeOnce(target: FuzzTarget, input: Uint8Array): number {
  const start = performance.now();
  runOnce(target, input);
  return performance.now() - start;
}

/** Bytes that the process holds more after one run; a collection in between makes it less. */
function allocateOnce(target: FuzzTarget, input: Uint8Array): number {
  const held = () => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = held();
  runOnce(target, input);
  return held() - before;
}

/** Several measurements, smallest first; only one if that is within `limit` already. */
function confirm(limit: number, measure: () => number): number[] {
  const first = measure();
  if (first <= limit) return [first];
  return [first, ...Array.from({ length: CONFIRMATIONS - 1 }, measure)].sort((a, b) => a - b);
}

/** Looks at one input from all sides. */
export function examine(target: FuzzTarget, input: Uint8Array): Failure | undefined {
  const fail = (kind: Failure["kind"], message: string): Failure => ({
    target: target.name,
    kind,
    message,
    input,
  });
  const { crash } = runOnce(target, input);
  if (crash !== undefined) return fail("crash", crash);
  const elapsed = confirm(HANG_MS, () => timeOnce(target, input))[0]!;
  if (elapsed > HANG_MS) return fail("hang", `${elapsed.toFixed(0)} ms for ${input.length} bytes`);
  const maxBytes = MAX_ALLOCATION_BYTES + 64 * input.length;
  const measured = confirm(maxBytes, () => allocateOnce(target, input));
  const allocated = measured[measured.length >> 1]!; // a collection may hide one of them
  if (allocated > maxBytes) return fail("allocation", `${allocated} bytes for an input of ${input.length}`);
  return undefined;
}

/** One target with its random source and what it has learnt. */
export class TargetFuzzer {
  readonly target: FuzzTarget;
  /** Inputs run so far. */
  executions = 0;
  /** What runs next, for a watchdog that must say it while this thread hangs. */
  readonly onInput: (input: Uint8Array) => void;
  readonly #random: SeededRandom;
  readonly #corpus: Uint8Array[];
  readonly #signatures = new Set<string>();

  constructor(target: FuzzTarget, seed: string, onInput: (input: Uint8Array) => void = () => {}) {
    this.target = target;
    this.onInput = onInput;
    this.#random = new SeededRandom(seed).fork(target.name);
    this.#corpus = [...target.seeds];
  }

  /** Runs one more input. */
  step(): Failure | undefined {
    const input = makeInput(this.#random, this.#corpus);
    this.onInput(input);
    const start = performance.now();
    const { crash, signature } = runOnce(this.target, input);
    const slow = performance.now() - start > HANG_MS;
    const isNew = !this.#signatures.has(signature);
    if (isNew && this.#corpus.length < this.target.seeds.length + MAX_CORPUS) {
      this.#signatures.add(signature);
      this.#corpus.push(input);
    }
    this.executions++;
    const suspicious = crash !== undefined || slow || isNew || this.executions % MEMORY_SAMPLE === 0;
    return suspicious ? examine(this.target, input) : undefined;
  }
}

/** A shorter input that fails in the same way, found by leaving out ever smaller pieces. */
export function shrink(target: FuzzTarget, failure: Failure): Failure {
  const nature = ({ kind, message }: Failure) =>
    kind === "crash" ? message.split("\n")[0]!.replace(/\d+/g, "0") : kind;
  const sameKind = (input: Uint8Array) => {
    const found = examine(target, input);
    return found !== undefined && nature(found) === nature(failure) ? found : undefined;
  };
  let best = failure;
  for (let size = best.input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= best.input.length;) {
      const shorter = Uint8Array.from([...best.input.subarray(0, at), ...best.input.subarray(at + size)]);
      const found = sameKind(shorter);
      if (found !== undefined) best = found;
      else at += size;
    }
  }
  return best;
}

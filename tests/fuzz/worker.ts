/**
 * The thread in which targets run, so that another thread can watch it: before each input it writes down what it is about
 * to do in memory that both share.
 */
import { loadTargets } from "./corpus.ts";
import { type Failure, shrink, TargetFuzzer } from "./fuzzer.ts";

/** What the worker is asked to do. */
export interface FuzzOrder {
  readonly names: readonly string[];
  readonly seconds: number;
  /** Inputs after which a target has had enough. */
  readonly runs: number;
  readonly seed: string;
  /** See {@linkcode SharedNote}. */
  readonly shared: SharedArrayBuffer;
}

/** What the worker reports about one target. */
export interface FuzzReport {
  readonly target: string;
  readonly executions: number;
  readonly milliseconds: number;
  readonly failure: Failure | undefined;
}

/** The note in shared memory: a count of inputs, the index of the target, the length of the input, then its bytes. */
export class SharedNote {
  /** Bytes to share. */
  static readonly SIZE = 3 * 4 + 8192;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 3);
    this.#bytes = new Uint8Array(shared, 12);
  }

  write(target: number, input: Uint8Array): void {
    this.#bytes.set(input);
    this.#words[1] = target;
    this.#words[2] = input.length;
    Atomics.add(this.#words, 0, 1);
  }

  read(): { count: number; target: number; input: Uint8Array } {
    const count = Atomics.load(this.#words, 0);
    return { count, target: this.#words[1]!, input: this.#bytes.slice(0, this.#words[2]!) };
  }
}

/** A turn of one target, in milliseconds. */
const SLICE_MS = 50;

/** Runs the targets in turn until their time is over or all have failed. */
export async function work({ names, seconds, runs: most, seed, shared }: FuzzOrder): Promise<FuzzReport[]> {
  const note = new SharedNote(shared);
  const targets = (await loadTargets()).filter(({ name }) => names.includes(name));
  const runs = targets.map((target) => {
    const index = names.indexOf(target.name);
    const fuzzer = new TargetFuzzer(target, seed, (input) => note.write(index, input));
    return { fuzzer, milliseconds: 0, failure: undefined as Failure | undefined };
  });
  const end = performance.now() + seconds * 1000;
  const isDue = ({ fuzzer, failure }: typeof runs[number]) =>
    failure === undefined && fuzzer.executions < most;
  while (performance.now() < end && runs.some(isDue)) {
    for (const run of runs) {
      if (!isDue(run)) continue;
      const start = performance.now();
      do run.failure = run.fuzzer.step(); while (isDue(run) && performance.now() - start < SLICE_MS);
      run.milliseconds += performance.now() - start;
    }
  }
  return runs.map(({ fuzzer: { target, executions }, milliseconds, failure }) => {
    const shortest = failure === undefined ? undefined : shrink(target, failure);
    return { target: target.name, executions, milliseconds, failure: shortest };
  });
}

/** The side of a worker that this file needs. */
interface WorkerScope {
  onmessage: ((event: { data: FuzzOrder }) => void) | null;
  postMessage(message: FuzzReport[]): void;
}

if ("WorkerGlobalScope" in globalThis) {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = async ({ data }) => scope.postMessage(await work(data));
}

/**
 * How many levels of nodes a request has to ask for: those that are neither here nor on their way from the same peer, which answers
 * in order.
 */
import { parent, rightSpan, sibling } from "../log/flat_tree.ts";
import type { NodeReader } from "../log/node_reader.ts";
import type { LogRequest } from "../log/proof_messages.ts";
import type { MaybePromise } from "../runtime/async.ts";

/** What is missing between a node and the first one above it that is here. */
export interface MissingLevels {
  /** How many levels. */
  readonly levels: number;
  /** Whether the node above them is only on its way. */
  readonly isTrusting: boolean;
}

/** The nodes that one peer was asked for and has not sent. */
export class ExpectedNodes {
  readonly #nodes = new Set<number>();

  /** Whether this node is on its way. */
  has(index: number): boolean {
    return this.#nodes.has(index);
  }

  /** A request asks for so many levels above `index`. */
  add(index: number, levels: number): void {
    let at = index;
    this.#nodes.add(at);
    for (let i = 0; i < levels; i++) {
      this.#nodes.add(sibling(at));
      at = parent(at);
      if (i < levels - 1) this.#nodes.add(at);
    }
  }

  /** That request is over. */
  delete(index: number, levels: number): void {
    let at = index;
    this.#nodes.delete(at);
    for (let i = 0; i < levels; i++) {
      this.#nodes.delete(sibling(at));
      at = parent(at);
      if (i < levels - 1) this.#nodes.delete(at);
    }
  }
}

/** What is missing above the node `index` of a log of `length` blocks; waits only if the reader does. */
export function missingLevels(
  reader: NodeReader,
  length: number,
  index: number,
  expected: ExpectedNodes | undefined,
): MaybePromise<MissingLevels> {
  const head = 2 * length;
  let levels = 0;
  for (let at = index; rightSpan(at) < head; at = parent(at)) {
    if (expected?.has(at) === true) return { levels, isTrusting: true };
    const node = reader(at);
    if (node instanceof Promise) return missingLevelsLater(reader, head, at, levels, node);
    if (node !== undefined) break;
    levels++;
  }
  return { levels, isTrusting: false };
}

async function missingLevelsLater(
  reader: NodeReader,
  head: number,
  from: number,
  below: number,
  first: Promise<unknown>,
): Promise<MissingLevels> {
  let levels = below;
  let node: unknown = await first;
  for (let at = from; node === undefined; node = await reader(at)) {
    levels++;
    at = parent(at);
    if (rightSpan(at) >= head) break;
  }
  return { levels, isTrusting: false };
}

/** The node that is asked for with what is missing above it, unless an upgrade proves it. */
export function nodeOf(
  { block, upgrade }: LogRequest,
): { readonly index: number; readonly nodes: number } | undefined {
  if (block === undefined || (upgrade !== undefined && block.index >= upgrade.start)) return undefined;
  return { index: 2 * block.index, nodes: block.nodes };
}

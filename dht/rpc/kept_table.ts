/** The routing table on disk. A store that fails is reported and otherwise ignored: a node can do without. */
import type { SocketAddress } from "../../encoding/address.ts";
import { MAX_STORED_NODES } from "./constants.ts";
import type { RoutingTableStore } from "./rpc_options.ts";

/** See the head of the file. */
export class KeptTable {
  readonly #store: RoutingTableStore | undefined;
  readonly #onProblem: (what: "load" | "save", error: unknown) => void;

  /** Keeps it in `store`, if there is one. */
  constructor(
    store: RoutingTableStore | undefined,
    onProblem: (what: "load" | "save", error: unknown) => void,
  ) {
    this.#store = store;
    this.#onProblem = onProblem;
  }

  /** The nodes that were kept, at most 200. */
  async load(): Promise<SocketAddress[]> {
    try {
      const nodes = await this.#store?.load() ?? [];
      return nodes.filter(({ family, port }) => family === 4 && port > 0).slice(0, MAX_STORED_NODES);
    } catch (error) {
      this.#onProblem("load", error);
      return [];
    }
  }

  /** Keeps `nodes` instead. */
  async save(nodes: readonly SocketAddress[]): Promise<void> {
    try {
      await this.#store?.save(nodes);
    } catch (error) {
      this.#onProblem("save", error);
    }
  }
}

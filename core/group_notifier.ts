/** News of the logs of a group. */
import { toHex } from "../encoding/text.ts";
import { groupMembers } from "./log/group.ts";
import { TypedEventTarget } from "./runtime/events.ts";
import type { Store } from "./storage/storage.ts";

/** How a log of a group is now. */
export interface GroupUpdate {
  /** Its key. */
  readonly key: Uint8Array;
  /** How many blocks it has. */
  readonly length: number;
  /** How often it was rewritten. */
  readonly fork: number;
}

/** Names and payloads of the events of a {@linkcode GroupNotifier}. */
export interface GroupEvents {
  /** A log of the group has grown, or was cut, here or by its writer. */
  update: GroupUpdate;
}

/** Which logs of a group are listed. */
export interface GroupUpdatesOptions {
  /** Only those that have changed at this time or later, in Unix milliseconds; all by default. */
  readonly since?: number | undefined;
  /** Whether those come first that changed last; true by default. */
  readonly reverse?: boolean | undefined;
}

/** Tells when logs of a group change, and which have changed. */
export class GroupNotifier extends TypedEventTarget<GroupEvents> implements Disposable {
  readonly #store: Store;
  readonly #topic: Uint8Array;
  readonly #onDestroy: () => void;

  /** Is made by `Corestore.notifyGroup`. */
  constructor(store: Store, topic: Uint8Array, onDestroy: () => void) {
    super();
    this.#store = store;
    this.#topic = topic;
    this.#onDestroy = onDestroy;
  }

  /**
   * The keys of the stored logs of the group that have ever had blocks. Looks at all logs of the store. Of folders of
   * hypercore 10, which know no time, all are listed, whatever `since` is.
   */
  async *updates(options: GroupUpdatesOptions = {}): AsyncIterableIterator<Uint8Array> {
    const { since = 0, reverse = true } = options;
    const members = await groupMembers(this.#store, this.#topic);
    if (reverse) members.reverse();
    for (const { key, timestamp } of members) if (timestamp === 0 || timestamp >= since) yield key;
  }

  /** Tells of a change. */
  tell(update: GroupUpdate): void {
    this.emit("update", update);
  }

  /** Tells no more. */
  destroy(): void {
    this.#onDestroy();
  }

  /** Tells no more. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}

/** All who are told of groups. */
export class GroupNotifiers {
  readonly #byTopic = new Map<string, Set<GroupNotifier>>();

  /** One more, for the group of a topic. */
  add(store: Store, topic: Uint8Array): GroupNotifier {
    const id = toHex(topic);
    const all = this.#byTopic.get(id) ?? new Set();
    this.#byTopic.set(id, all);
    const notifier: GroupNotifier = new GroupNotifier(store, topic.slice(), () => {
      if (all.delete(notifier) && all.size === 0) this.#byTopic.delete(id);
    });
    all.add(notifier);
    return notifier;
  }

  /** Tells those of a topic of a change. */
  tell(topic: Uint8Array, update: GroupUpdate): void {
    for (const notifier of [...this.#byTopic.get(toHex(topic)) ?? []]) notifier.tell(update);
  }

  /** Tells nobody any more. */
  clear(): void {
    this.#byTopic.clear();
  }
}

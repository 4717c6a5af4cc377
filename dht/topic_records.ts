/** Who announced which topic: a bounded store from which a few peers of a topic can be picked at random. */
import type { Random } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { FairCache, type FairCacheConfig } from "./fair_cache.ts";

interface TopicRecord {
  readonly topic: string;
  readonly bytes: Uint8Array;
  /** Place in the list of the topic. */
  index: number;
}

/** See the head of the file. Topics and public keys are hexadecimal. */
export class TopicRecords {
  readonly #random: Random;
  readonly #cache: FairCache<TopicRecord>;
  readonly #topics = new Map<string, TopicRecord[]>();

  /** An empty store. */
  constructor(config: FairCacheConfig, random: Random) {
    this.#random = random;
    this.#cache = new FairCache(config, (record) => this.#unlist(record));
  }

  /** How many records there are, of all topics. */
  get size(): number {
    return this.#cache.size;
  }

  /** Puts the record of a peer, on the account of the network of `owner`. */
  set(now: number, topic: string, publicKey: string, bytes: Uint8Array, owner: SocketAddress): void {
    const record: TopicRecord = { topic, bytes, index: -1 };
    if (!this.#cache.set(now, topic + publicKey, record, owner, 0)) return;
    const list = this.#topics.get(topic);
    if (list === undefined) this.#topics.set(topic, [record]);
    record.index = list === undefined ? 0 : list.push(record) - 1;
  }

  /** Takes the record of a peer out. */
  delete(topic: string, publicKey: string): void {
    this.#cache.delete(topic + publicKey);
  }

  /** Up to `count` records of a topic, each as likely as any other, in any order. */
  pick(now: number, topic: string, count: number): Uint8Array[] {
    this.#cache.expire(now);
    const list = this.#topics.get(topic) ?? [];
    const picked: Uint8Array[] = [];
    // The first steps of a shuffle in place (Fisher and Yates): no copy, whatever the length of the list.
    for (let i = 0; i < list.length && i < count; i++) {
      this.#swap(list, i, i + this.#random.below(list.length - i));
      picked.push(list[i]!.bytes);
    }
    return picked;
  }

  #unlist(record: TopicRecord): void {
    const list = this.#topics.get(record.topic)!;
    this.#swap(list, record.index, list.length - 1);
    list.pop();
    if (list.length === 0) this.#topics.delete(record.topic);
  }

  #swap(list: TopicRecord[], a: number, b: number): void {
    const [first, second] = [list[a]!, list[b]!];
    list[a] = second;
    list[b] = first;
    second.index = a;
    first.index = b;
  }
}

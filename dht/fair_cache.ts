/**
 * A bounded store of what strangers put, in which nobody can push out everybody else.
 *
 * Entries age and go. When the store is full, or one network has more than its share, something has to make room: for a network
 * that has more than the average its own oldest entry, otherwise the oldest of all. So who floods the store from a few networks
 * ends up replacing his own.
 */
import type { SocketAddress } from "../encoding/address.ts";

/** Limits of a {@linkcode FairCache}. */
export interface FairCacheConfig {
  /** Entries at the most. */
  readonly maxEntries: number;
  /** Bytes of all values at the most. */
  readonly maxBytes: number;
  /** Milliseconds that an entry is kept after it was put, or renewed. */
  readonly ageMs: number;
  /** One of so many parts of entries and bytes may belong to one network; 1 = all. */
  readonly subnetShare: number;
}

/** A ring of entries by age, through one pair of links of theirs. */
class Link<Value> {
  before: Link<Value> = this;
  after: Link<Value> = this;
  readonly entry: Entry<Value> | undefined;

  /** A link of `entry`, or without one the head of a ring: the oldest is after it, the newest before it. */
  constructor(entry?: Entry<Value>) {
    this.entry = entry;
  }

  get oldest(): Entry<Value> | undefined {
    return this.after.entry;
  }

  append(link: Link<Value>): void {
    link.before = this.before;
    link.after = this;
    this.before.after = link;
    this.before = link;
  }

  unlink(): void {
    this.before.after = this.after;
    this.after.before = this.before;
  }
}

/** What one network has stored. */
interface Subnet<Value> {
  readonly key: number | string;
  readonly ring: Link<Value>;
  entries: number;
  bytes: number;
}

class Entry<Value> {
  readonly key: string;
  value: Value;
  bytes: number;
  expiresAt = Infinity;
  readonly subnet: Subnet<Value>;
  readonly ofAll: Link<Value> = new Link<Value>(this);
  readonly ofSubnet: Link<Value> = new Link<Value>(this);

  constructor(key: string, value: Value, bytes: number, subnet: Subnet<Value>) {
    this.key = key;
    this.value = value;
    this.bytes = bytes;
    this.subnet = subnet;
  }
}

/** The network that an address counts for: its /24, or its /48 with IPv6. */
export function subnetKey(address: SocketAddress): number | string {
  if (address.family === 4) return address.bits >>> 8;
  const { bytes } = address;
  return bytes.subarray(0, 6).join();
}

/** See the head of the file. Times are milliseconds of one clock and never go back. */
export class FairCache<Value> {
  readonly #config: FairCacheConfig;
  readonly #onRemove: (value: Value) => void;
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #subnets = new Map<number | string, Subnet<Value>>();
  readonly #ring = new Link<Value>();
  #bytes = 0;

  /** An empty store; `onRemove` is told what is replaced, removed or dropped. */
  constructor(config: FairCacheConfig, onRemove: (value: Value) => void = () => {}) {
    this.#config = config;
    this.#onRemove = onRemove;
  }

  /** How many entries there are, some of them perhaps expired. */
  get size(): number {
    return this.#entries.size;
  }

  /** How many bytes they count. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What `owner`'s network has: for tests and diagnostics. */
  shareOf(owner: SocketAddress): { readonly entries: number; readonly bytes: number } {
    const { entries, bytes } = this.#subnets.get(subnetKey(owner)) ?? { entries: 0, bytes: 0 };
    return { entries, bytes };
  }

  /** The value of `key`; undefined if there is none. */
  peek(now: number, key: string): Value | undefined {
    this.expire(now);
    return this.#entries.get(key)?.value;
  }

  /** As {@linkcode peek}, and the entry is as good as new. */
  get(now: number, key: string): Value | undefined {
    this.expire(now);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#renew(now, entry);
    return entry?.value;
  }

  /**
   * Puts a value that counts `bytes`. It is on the account of `owner`'s network, unless the key is there already: then it stays on
   * the account of whoever put it first, because otherwise taking something over and flooding would be a way to push it out.
   *
   * @returns false if it is too big for anybody's share.
   */
  set(now: number, key: string, value: Value, owner: SocketAddress, bytes: number): boolean {
    this.expire(now);
    if (bytes > this.#share(this.#config.maxBytes)) return false;
    const known = this.#entries.get(key);
    if (known !== undefined) this.#remove(known);
    const subnet = known?.subnet ?? this.#subnet(subnetKey(owner));
    this.#makeRoom(subnet, bytes);
    const entry = new Entry(key, value, bytes, subnet);
    this.#subnets.set(subnet.key, subnet);
    this.#entries.set(key, entry);
    this.#ring.append(entry.ofAll);
    subnet.ring.append(entry.ofSubnet);
    entry.expiresAt = now + this.#config.ageMs;
    this.#bytes += bytes;
    subnet.entries++;
    subnet.bytes += bytes;
    return true;
  }

  /** Takes `key` out; whether it was in. */
  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#remove(entry);
    return entry !== undefined;
  }

  /** Drops what is too old. */
  expire(now: number): void {
    for (let entry = this.#ring.oldest; entry !== undefined && entry.expiresAt <= now;) {
      this.#remove(entry);
      entry = this.#ring.oldest;
    }
  }

  /** Takes everything out. */
  clear(): void {
    this.expire(Infinity);
  }

  #share(whole: number): number {
    return Math.max(1, Math.floor(whole / this.#config.subnetShare));
  }

  #subnet(key: number | string): Subnet<Value> {
    return this.#subnets.get(key) ?? { key, ring: new Link<Value>(), entries: 0, bytes: 0 };
  }

  #renew(now: number, entry: Entry<Value>): void {
    entry.ofAll.unlink();
    this.#ring.append(entry.ofAll);
    entry.ofSubnet.unlink();
    entry.subnet.ring.append(entry.ofSubnet);
    entry.expiresAt = now + this.#config.ageMs;
  }

  #makeRoom(subnet: Subnet<Value>, bytes: number): void {
    const { maxEntries, maxBytes } = this.#config;
    while (
      subnet.entries >= this.#share(maxEntries) || subnet.bytes + bytes > this.#share(maxBytes)
    ) this.#remove(subnet.ring.oldest!);
    while (true) {
      const isCrowded = this.#entries.size >= maxEntries;
      if (!isCrowded && this.#bytes + bytes <= maxBytes) return;
      const isGreedy = subnet.entries > 0 &&
        (isCrowded
          ? subnet.entries * this.#subnets.size >= this.#entries.size
          : subnet.bytes * this.#subnets.size >= this.#bytes);
      this.#remove((isGreedy ? subnet.ring : this.#ring).oldest!);
    }
  }

  #remove(entry: Entry<Value>): void {
    const { subnet } = entry;
    this.#entries.delete(entry.key);
    entry.ofAll.unlink();
    entry.ofSubnet.unlink();
    this.#bytes -= entry.bytes;
    subnet.entries--;
    subnet.bytes -= entry.bytes;
    if (subnet.entries === 0) this.#subnets.delete(subnet.key);
    this.#onRemove(entry.value);
  }
}

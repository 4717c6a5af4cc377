/**
 * How two peers find out which topics they share without naming any: each sends a tag for each of its topics, a hash keyed by
 * the topic over what only this connection has. Whoever knows a topic recognizes its tag; to others it is noise.
 *
 *     key  = topic, or BLAKE2b-256(topic, key = BLAKE2b-256(namespace, secret)) with a group secret
 *     tag  = first 16 bytes of BLAKE2b-256(namespace, role, handshake hash; key)
 *
 * The role keeps a peer from sending back what it got, the handshake hash from using it elsewhere. Tags are sorted and
 * padded with random ones, so that neither their order nor, quite, their number says anything.
 */
import { compare } from "../encoding/bytes.ts";
import { type Codec, type Cursor, DecodeError } from "../encoding/codec.ts";
import { uint } from "../encoding/varint.ts";
import { blake2b } from "../core/crypto/hash.ts";
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import type { Random } from "../core/runtime/runtime.ts";
import { MAX_TAGS, MIN_TAGS } from "./constants.ts";

const TAG_BYTES = 16;
const FLAG_EXPLICIT = 1;
const TAG_NAMESPACE = new TextEncoder().encode("hypha/topics/1/tag");
const SECRET_NAMESPACE = new TextEncoder().encode("hypha/topics/1/secret");

/** What a peer sends at first and after each change. It replaces what it sent before. */
export interface TopicsMessage {
  /** Whether the peer wants this connection whatever the topics: it asked for this very key. */
  readonly isExplicit: boolean;
  /** Tags of 16 bytes, one after the other in ascending order. */
  readonly tags: Uint8Array;
}

/** {@linkcode TopicsMessage}: flags, the number of tags, the tags. Tags are read as a view. */
export const topicsMessage: Codec<TopicsMessage> = {
  size: ({ tags }: TopicsMessage) => 1 + uint.size(tags.length / TAG_BYTES) + tags.length,
  encode(cursor: Cursor, { isExplicit, tags }: TopicsMessage): void {
    uint.encode(cursor, isExplicit ? FLAG_EXPLICIT : 0);
    uint.encode(cursor, tags.length / TAG_BYTES);
    const at = cursor.reserve(tags.length);
    cursor.buffer.set(tags, at);
  },
  decode(cursor: Cursor): TopicsMessage {
    const flags = uint.decode(cursor);
    const offset = cursor.start;
    const count = uint.decode(cursor);
    if (count > MAX_TAGS) throw new DecodeError(`Expected at most ${MAX_TAGS} tags, found ${count}`, offset);
    const at = cursor.take(count * TAG_BYTES);
    const tags = cursor.buffer.subarray(at, cursor.start);
    if (!isAscending(tags)) throw new DecodeError("Expected tags in ascending order", at);
    return { isExplicit: (flags & FLAG_EXPLICIT) !== 0, tags };
  },
};

/** The key that recognizes the tags of `topic`; with a secret, only for those who have it as well. */
export function topicKey(crypto: CryptoProvider, topic: Uint8Array, secret?: Uint8Array): Uint8Array {
  if (secret === undefined) return topic;
  return blake2b(crypto, [topic], blake2b(crypto, [SECRET_NAMESPACE, secret]));
}

/** The tag with which one side of the connection shows that it has the topic of `key`. */
export function topicTag(
  crypto: CryptoProvider,
  key: Uint8Array,
  isInitiator: boolean,
  handshakeHash: Uint8Array,
): Uint8Array {
  const role = Uint8Array.of(isInitiator ? 0 : 1);
  return blake2b(crypto, [TAG_NAMESPACE, role, handshakeHash], key).subarray(0, TAG_BYTES);
}

/** At most {@linkcode MAX_TAGS} of `tags`, padded and in order, as they are sent. */
export function packTags(tags: readonly Uint8Array[], random: Random): Uint8Array {
  const all = tags.slice(0, MAX_TAGS);
  let count = MIN_TAGS;
  while (count < all.length) count *= 2;
  while (all.length < count) all.push(random.fill(new Uint8Array(TAG_BYTES)));
  all.sort(compare);
  const packed = new Uint8Array(count * TAG_BYTES);
  for (const [i, tag] of all.entries()) packed.set(tag, i * TAG_BYTES);
  return packed;
}

/** Whether `tag` is among `tags`, which are in order. */
export function includesTag(tags: Uint8Array, tag: Uint8Array): boolean {
  let low = 0;
  let high = tags.length / TAG_BYTES;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compare(tag, tags.subarray(middle * TAG_BYTES, (middle + 1) * TAG_BYTES));
    if (order === 0) return true;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return false;
}

function isAscending(tags: Uint8Array): boolean {
  for (let at = TAG_BYTES; at < tags.length; at += TAG_BYTES) {
    const before = tags.subarray(at - TAG_BYTES, at);
    if (compare(before, tags.subarray(at, at + TAG_BYTES)) > 0) return false;
  }
  return true;
}

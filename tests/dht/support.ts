/** What the tests of the DHT share: recorded vectors with bytes and addresses in them, and announcements that are signed. */
import type { CryptoProvider, KeyPair } from "../../core/runtime/crypto_provider.ts";
import { Command } from "../../dht/constants.ts";
import { announcement, type PeerRecord } from "../../dht/messages.ts";
import type { StorageMoment, StorageRequest } from "../../dht/records.ts";
import { announceSignable, dhtNamespaces, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { encode } from "../../encoding/codec.ts";
import { fromHex } from "../../encoding/text.ts";
import { wasm } from "../crypto/support.ts";

/** One message as it was recorded. */
export interface MessageVector {
  readonly value: unknown;
  readonly hex: string;
}

/** `tests/vectors/dht_messages.json`. */
export interface DhtVectors {
  readonly messages: Readonly<Record<string, readonly MessageVector[]>>;
  readonly namespaces: Readonly<Record<string, string>>;
  readonly signatures: Readonly<Record<string, string>>;
  readonly secure: {
    readonly secret: string;
    readonly token: { readonly host: string; readonly key: number; readonly hex: string };
    readonly sealed: readonly MessageVector[];
  };
}

/** "hex:..." and "addr:..." become bytes and addresses. */
export function revive(value: unknown): unknown {
  if (typeof value === "string" && value.startsWith("hex:")) return fromHex(value.slice(4));
  if (typeof value === "string" && value.startsWith("addr:")) return SocketAddress.parse(value.slice(5));
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
}

/** The reverse of {@linkcode revive}, without what is undefined: to compare values. */
export function flatten(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return `hex:${[...value].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
  }
  if (value instanceof SocketAddress) return `addr:${value}`;
  if (Array.isArray(value)) return value.map(flatten);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries.map(([key, one]) => [key, flatten(one)]));
}

/** 32 bytes that all equal `n`. */
export const bytes32 = (n: number): Uint8Array => new Uint8Array(32).fill(n);

/** A key pair that `n`, of 32 bits, decides. */
export function keyPair(n: number, crypto: CryptoProvider = wasm): KeyPair {
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, n);
  return crypto.keyPair(seed);
}

/** The moment `now`, on the node whose id is all 7. */
export function moment(now: number): StorageMoment {
  return { now, wallTime: 1_700_000_000_000 + now, nodeId: bytes32(7) };
}

const namespaces = dhtNamespaces(wasm);

/** What may differ in a signed announcement. */
export interface AnnounceOptions {
  readonly command?: number;
  readonly target?: Uint8Array;
  readonly relays?: readonly string[];
  readonly from?: string;
  readonly refresh?: Uint8Array;
  readonly bump?: number;
}

/** A request that announces the peer of `keys`, by default under its own key. */
export function announceRequest(keys: KeyPair, options: AnnounceOptions = {}): StorageRequest {
  const { command = Command.Announce, refresh, bump = 0, from = "11.0.0.1:4000" } = options;
  const target = options.target ?? targetOf(wasm, keys.publicKey);
  const token = bytes32(8);
  const relayAddresses = (options.relays ?? ["11.0.0.9:1"]).map((text) => SocketAddress.parse(text));
  const peer: PeerRecord = { publicKey: keys.publicKey, relayAddresses };
  const space = command === Command.Announce ? namespaces.announce : namespaces.unannounce;
  const context = { target, token, nodeId: bytes32(7) };
  const signature = wasm.sign(announceSignable(wasm, space, context, peer, refresh), keys.secretKey);
  const value = encode(announcement, { peer, refresh, signature, bump });
  return { command, target, token, from: SocketAddress.parse(from), value };
}

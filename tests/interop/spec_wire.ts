/** Bytes and messages for `spec_client.ts`, written from `docs/spec/` alone. */
import { concat } from "../../encoding/bytes.ts";
import { wasm } from "../crypto/support.ts";

/** BLAKE2b with 32 bytes of output, keyed if there is a key. */
export function hash(parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
  const out = new Uint8Array(32);
  wasm.hash(out, parts, key);
  return out;
}

/** `value` in `length` bytes, lowest first. */
export const little = (value: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Math.floor(value / 256 ** i) & 255);
/** The reverse of {@linkcode little}. */
export const readLittle = (bytes: Uint8Array): number =>
  bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);

// --- encoding.md, 2, 4, 6 and 7

/** A `uint`. */
export function uint(value: number): Uint8Array {
  if (value <= 0xfc) return little(value, 1);
  if (value <= 0xffff) return concat([Uint8Array.of(0xfd), little(value, 2)]);
  return concat([Uint8Array.of(0xfe), little(value, 4)]);
}

/** A `buffer`. */
export const buffer = (bytes: Uint8Array): Uint8Array => concat([uint(bytes.length), bytes]);

/** A host in dotted text, and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** An `ipv4Address`. */
export const address = ({ host, port }: Address): Uint8Array =>
  concat([Uint8Array.from(host.split("."), Number), little(port, 2)]);
/** `array(ipv4Address)`. */
export const addresses = (list: readonly Address[]): Uint8Array =>
  concat([uint(list.length), ...list.map(address)]);

/** Reads one field after the other. */
export class Reader {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  uint(): number {
    const first = this.take(1)[0]!;
    return first <= 0xfc ? first : readLittle(this.take([2, 4, 8][first - 0xfd]!));
  }

  buffer(): Uint8Array {
    return this.take(this.uint());
  }

  address(): Address {
    return { host: this.take(4).join("."), port: readLittle(this.take(2)) };
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.uint() }, read);
  }
}

// --- dht-rpc.md, 2

/** A reply. */
export interface Reply {
  readonly tid: number;
  /** The own socket, as the node sees it. */
  readonly to: Address;
  readonly closerNodes: readonly Address[];
  readonly value: Uint8Array | undefined;
}

/** What a request says. */
export interface Request {
  readonly isInternal?: boolean;
  readonly command: number;
  readonly target?: Uint8Array;
  readonly value?: Uint8Array;
}

/** A request without id and token. */
export function request(
  tid: number,
  to: Address,
  { isInternal, command, target, value }: Request,
): Uint8Array {
  const flags = (isInternal ? 4 : 0) | (target ? 8 : 0) | (value ? 16 : 0);
  const head = [Uint8Array.of(0x03, flags), little(tid, 2), address(to), uint(command)];
  return concat([...head, target ?? new Uint8Array(0), value ? buffer(value) : new Uint8Array(0)]);
}

/** Takes a reply apart. */
export function readReply(bytes: Uint8Array): Reply {
  const reader = new Reader(bytes.subarray(1));
  const flags = reader.uint();
  const tid = readLittle(reader.take(2));
  const to = reader.address();
  if (flags & 1) reader.take(32);
  if (flags & 2) reader.take(32);
  const closerNodes = flags & 4 ? reader.list(() => reader.address()) : [];
  if (flags & 8) reader.uint();
  return { tid, to, closerNodes, value: flags & 16 ? reader.buffer() : undefined };
}

// --- hyperdht.md, 3

/** What a server says in its Noise message. */
export interface ServerPayload {
  /** The number of the attempt, and who relays punches to it. */
  readonly holepunch: {
    readonly id: number;
    readonly relays: readonly (readonly [relay: Address, peer: Address])[];
  } | undefined;
  readonly streamId: number;
}

/** The payload of a client: firewall, addresses if there are any, its stream. */
export function clientPayload(firewall: number, own: readonly Address[], streamId: number): Uint8Array {
  const flags = (own.length > 0 ? 2 : 0) | 8 | 16;
  const list = own.length > 0 ? addresses(own) : new Uint8Array(0);
  const udx = [Uint8Array.of(1, 0), uint(streamId), Uint8Array.of(0)];
  return concat([Uint8Array.of(1, flags, 0, firewall), list, ...udx, Uint8Array.of(1)]);
}

/** Takes the payload of a server apart. */
export function readServerPayload(bytes: Uint8Array): ServerPayload {
  const reader = new Reader(bytes);
  const version = reader.uint();
  const flags = reader.uint();
  const [error] = [reader.uint(), reader.uint()];
  if (version !== 1 || error !== 0) throw new Error(`version ${version}, error ${error}`);
  const pair = () => [reader.address(), reader.address()] as const;
  const holepunch = flags & 1 ? { id: reader.uint(), relays: reader.list(pair) } : undefined;
  if (flags & 2) reader.list(() => reader.address());
  if (flags & 4) reader.list(() => reader.take(18));
  reader.uint();
  reader.uint();
  return { holepunch, streamId: reader.uint() };
}

/** What a punch payload says. */
export interface Round {
  readonly error: number;
  readonly firewall: number;
  readonly round: number;
  readonly isPunching: boolean;
  readonly addresses?: readonly Address[] | undefined;
  readonly token?: Uint8Array | undefined;
  readonly remoteToken?: Uint8Array | undefined;
}

/** A punch payload, sealed with the punch secret; `nonce` has 24 random bytes. */
export function sealRound(secret: Uint8Array, nonce: Uint8Array, round: Round): Uint8Array {
  const { token, remoteToken } = round;
  const flags = (round.isPunching ? 2 : 0) | (round.addresses ? 4 : 0) | (token ? 16 : 0) |
    (remoteToken ? 32 : 0);
  const fields = [uint(flags), uint(round.error), uint(round.firewall), uint(round.round)];
  if (round.addresses) fields.push(addresses(round.addresses));
  const plain = concat([...fields, ...token ? [token] : [], ...remoteToken ? [remoteToken] : []]);
  const sealed = new Uint8Array(24 + 16 + plain.length);
  sealed.set(nonce);
  wasm.seal("xsalsa20poly1305", sealed.subarray(24), plain, nonce, secret);
  return sealed;
}

/** Opens a punch payload. @throws {Error} if it is forged. */
export function openRound(secret: Uint8Array, sealed: Uint8Array): Round {
  const plain = new Uint8Array(sealed.length - 40);
  const [nonce, box] = [sealed.subarray(0, 24), sealed.subarray(24)];
  if (!wasm.open("xsalsa20poly1305", plain, box, nonce, secret)) throw new Error("forged");
  const reader = new Reader(plain);
  const flags = reader.uint();
  const [error, firewall, round] = [reader.uint(), reader.uint(), reader.uint()];
  const list = flags & 4 ? reader.list(() => reader.address()) : undefined;
  if (flags & 8) reader.address();
  const token = flags & 16 ? reader.take(32) : undefined;
  const remoteToken = flags & 32 ? reader.take(32) : undefined;
  return { error, firewall, round, isPunching: (flags & 2) !== 0, addresses: list, token, remoteToken };
}

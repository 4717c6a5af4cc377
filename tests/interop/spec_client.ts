/**
 * A client written from `docs/spec/` alone, as somebody would begin in another language: finds a peer by its key, shakes hands
 * through a relay, and talks to it over UDX and a secret stream. Shows that the text suffices; nothing of `dht/`, `transports/` or
 * `core/stream/` is used.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { concat, equals } from "../../encoding/bytes.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";
import { TextHandshake, TextSecretstream } from "../spec/primitives.ts";

const hash = (parts: readonly Uint8Array[], key?: Uint8Array) => {
  const out = new Uint8Array(32);
  wasm.hash(out, parts, key);
  return out;
};
const little = (value: number, length: number) =>
  Uint8Array.from({ length }, (_, i) => Math.floor(value / 256 ** i) & 255);
const readLittle = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);

// --- encoding.md: section 2, 7

const uint = (value: number) =>
  value <= 0xfc
    ? little(value, 1)
    : value <= 0xffff
    ? concat([Uint8Array.of(0xfd), little(value, 2)])
    : concat([Uint8Array.of(0xfe), little(value, 4)]);
const buffer = (bytes: Uint8Array) => concat([uint(bytes.length), bytes]);

interface Address {
  readonly host: string;
  readonly port: number;
}

const address = ({ host, port }: Address) =>
  concat([Uint8Array.from(host.split("."), Number), little(port, 2)]);

class Reader {
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

// --- dht-rpc.md: section 2

interface Reply {
  readonly closerNodes: Address[];
  readonly value: Uint8Array | undefined;
}

function readReply(bytes: Uint8Array): Reply & { readonly tid: number } {
  const reader = new Reader(bytes.subarray(1));
  const flags = reader.uint();
  const tid = readLittle(reader.take(2));
  reader.address();
  if (flags & 1) reader.take(32);
  if (flags & 2) reader.take(32);
  const closerNodes = flags & 4 ? reader.list(() => reader.address()) : [];
  if (flags & 8) reader.uint();
  return { tid, closerNodes, value: flags & 16 ? reader.buffer() : undefined };
}

// --- The client

const [PEER_HANDSHAKE, FIND_PEER] = [0, 2];
const [DATA, END] = [1, 2];
const RESEND_MS = 500;

/** One connection. */
export class SpecClient {
  readonly #socket: Socket = createSocket("udp4");
  readonly #streamId = 0x5bec;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  #lastTid = 0;
  #remoteId = 0;
  #remote: Address | undefined;
  #seq = 0;
  #expected = 0;
  /** Packets that the peer has not acknowledged. */
  #unacked: { readonly seq: number; readonly packet: Uint8Array }[] = [];
  /** What came of the stream and is no whole frame yet. */
  #received: Uint8Array = new Uint8Array(0);
  #opener: TextSecretstream | undefined;
  #keys: { readonly tx: Uint8Array; readonly rx: Uint8Array; readonly hash: Uint8Array } | undefined;
  #sealer: TextSecretstream | undefined;
  readonly #messages: Uint8Array[] = [];
  #wake: () => void = () => {};
  #hasEnded = false;
  /** Packets on their way to the network. */
  #sending = 0;
  readonly #timer = setInterval(() => this.#resend(), RESEND_MS);

  /** Connects to the peer of a key, from one node of its network on. */
  async connect(publicKey: Uint8Array, bootstrap: Address): Promise<void> {
    this.#socket.on(
      "message",
      (bytes, from) => this.#onDatagram(bytes, { host: from.address, port: from.port }),
    );
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    const target = hash([publicKey]);
    const relay = await this.#findPeer(target, bootstrap);
    await this.#shakeHands(publicKey, target, relay);
    await this.#until(() => this.#opener !== undefined);
  }

  /** Sends a message. */
  send(message: Uint8Array): void {
    this.#write(this.#sealer!.seal(message));
  }

  /** The next message that is not empty; undefined at the end. */
  async receive(): Promise<Uint8Array | undefined> {
    await this.#until(() => this.#messages.length > 0 || this.#hasEnded);
    return this.#messages.shift();
  }

  /** Ends this side, and waits for the other's end. */
  async close(): Promise<void> {
    this.#sendPacket(END, new Uint8Array(0));
    // Without our last acknowledgement the peer would ask for it for 13 s.
    await this.#until(() => this.#hasEnded && this.#unacked.length === 0 && this.#sending === 0);
    clearInterval(this.#timer);
    this.#socket.close();
    await once(this.#socket, "close");
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  #onDatagram(bytes: Uint8Array, from: Address): void {
    if (bytes[0] === 0x13) {
      const reply = readReply(bytes);
      this.#replies.get(reply.tid)?.(reply);
      this.#replies.delete(reply.tid);
    } else if (bytes[0] === 0xff && bytes[1] === 1) this.#onPacket(bytes, from);
    this.#wake();
  }

  // dht-rpc.md, 2.1 and 4

  async #ask(to: Address, command: number, target: Uint8Array, value?: Uint8Array): Promise<Reply> {
    const tid = ++this.#lastTid;
    const request = concat([
      ...[Uint8Array.of(0x03, value === undefined ? 8 : 8 | 16), little(tid, 2), address(to)],
      ...[uint(command), target, value === undefined ? new Uint8Array(0) : buffer(value)],
    ]);
    this.#socket.send(request, to.port, to.host);
    return await new Promise((resolve) => this.#replies.set(tid, resolve));
  }

  // hyperdht.md, 7: the way to a peer is with the nodes nearest to the hash of its key

  async #findPeer(target: Uint8Array, bootstrap: Address): Promise<Address> {
    const known = [bootstrap];
    for (const node of known) {
      const { closerNodes, value } = await this.#ask(node, FIND_PEER, target);
      if (value !== undefined) return node;
      for (const next of closerNodes) {
        if (!known.some(({ port }) => port === next.port)) known.push(next);
      }
    }
    throw new Error("no node knows the peer");
  }

  // hyperdht.md, 3, 12.1 and 12.2

  async #shakeHands(publicKey: Uint8Array, target: Uint8Array, relay: Address): Promise<void> {
    const prologue = hash([hash([utf8("hyperswarm/dht")]), Uint8Array.of(0)]);
    const keys = { s: wasm.keyPair(seed(11)), e: wasm.keyPair(seed(12)) };
    const handshake = new TextHandshake(prologue, keys, publicKey);
    const own = address({ host: "127.0.0.1", port: this.#socket.address().port });
    // Version, flags (addresses, udx, secret stream), no error, open; one address; udx; secret stream.
    const payload = concat([
      ...[Uint8Array.of(1, 2 | 8 | 16, 0, 1), Uint8Array.of(1), own],
      ...[Uint8Array.of(1, 0), uint(this.#streamId), Uint8Array.of(0), Uint8Array.of(1)],
    ]);
    const value = concat([Uint8Array.of(0, 0), buffer(handshake.write(payload))]);
    const answer = new Reader((await this.#ask(relay, PEER_HANDSHAKE, target, value)).value!);
    const flags = answer.uint();
    if (answer.uint() !== 4) throw new Error("no answer");
    const reader = new Reader(handshake.read(answer.buffer()));
    if (flags & 1) answer.address();
    this.#remoteId = readRemoteId(reader);
    const [tx, rx] = handshake.split();
    this.#keys = { tx, rx, hash: handshake.hash };
    this.#receive();
  }

  // udx.md, 2, 4 and 5

  #onPacket(packet: Uint8Array, from: Address): void {
    const [streamId, , seq, ack] = [4, 8, 12, 16].map((at) => readLittle(packet.subarray(at, at + 4)));
    if (streamId !== this.#streamId) return;
    this.#remote = from;
    this.#unacked = this.#unacked.filter((sent) => sent.seq >= ack!);
    const type = packet[2]!;
    if ((type & (DATA | END)) !== 0) {
      if (seq === this.#expected) {
        this.#expected++;
        if (type & DATA) this.#received = concat([this.#received, packet.subarray(20 + packet[3]!)]);
        if (type & END) this.#hasEnded = true;
      }
      if (this.#remoteId !== 0) this.#transmit(this.#packet(0, new Uint8Array(0)));
    }
    this.#receive();
  }

  #packet(type: number, payload: Uint8Array): Uint8Array {
    return concat([
      ...[Uint8Array.of(0xff, 1, type, 0), little(this.#remoteId, 4), little(4_194_304, 4)],
      ...[little(this.#seq, 4), little(this.#expected, 4), payload],
    ]);
  }

  #sendPacket(type: number, payload: Uint8Array): void {
    const packet = this.#packet(type, payload);
    this.#unacked.push({ seq: this.#seq++, packet });
    this.#transmit(packet);
  }

  #transmit(packet: Uint8Array): void {
    if (this.#remote === undefined) return;
    this.#sending++;
    this.#socket.send(packet, this.#remote.port, this.#remote.host, () => {
      this.#sending--;
      this.#wake();
    });
  }

  #resend(): void {
    for (const { packet } of this.#unacked) this.#transmit(packet);
  }

  // secret-stream.md, 2, 4 and 5

  #write(body: Uint8Array): void {
    this.#sendPacket(DATA, concat([little(body.length, 3), body]));
  }

  #receive(): void {
    if (this.#keys === undefined || this.#remote === undefined) return;
    if (this.#sealer === undefined) {
      const header = new Uint8Array(24).fill(13);
      this.#sealer = new TextSecretstream(this.#keys.tx, header);
      this.#write(concat([this.#idOf(0), header]));
    }
    while (this.#received.length >= 3) {
      const length = readLittle(this.#received.subarray(0, 3));
      if (this.#received.length < 3 + length) return;
      this.#onFrame(this.#received.subarray(3, 3 + length));
      this.#received = this.#received.subarray(3 + length);
    }
  }

  #onFrame(body: Uint8Array): void {
    if (this.#opener === undefined) {
      if (!equals(body.subarray(0, 32), this.#idOf(1))) throw new Error("the header is not the responder's");
      this.#opener = new TextSecretstream(this.#keys!.rx, body.subarray(32));
    } else {
      const message = this.#opener.open(body);
      if (message.length > 0) this.#messages.push(message);
    }
  }

  /** The stream id of the initiator (0) or the responder (1). */
  #idOf(role: number): Uint8Array {
    const namespace = hash([hash([utf8("hyperswarm/secret-stream")]), Uint8Array.of(role)]);
    return hash([namespace], this.#keys!.hash);
  }
}

/** The stream id in the payload of a server. */
function readRemoteId(reader: Reader): number {
  const version = reader.uint();
  const flags = reader.uint();
  const [error] = [reader.uint(), reader.uint()];
  if (version !== 1 || error !== 0) throw new Error(`version ${version}, error ${error}`);
  if (flags & 1) {
    reader.uint();
    reader.list(() => [reader.address(), reader.address()]);
  }
  if (flags & 2) reader.list(() => reader.address());
  if (flags & 4) reader.list(() => reader.take(18));
  reader.uint();
  reader.uint();
  return reader.uint();
}

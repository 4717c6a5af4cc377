/**
 * A client written from `docs/spec/` alone, as somebody would begin in another language: finds a peer by its key, shakes hands
 * through a relay, punches if it is to, and talks to it over UDX and a secret stream. Shows that the text suffices; nothing of
 * `dht/`, `transports/` or `core/stream/` is used.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { concat, equals } from "../../encoding/bytes.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";
import { TextHandshake, TextSecretstream } from "../spec/primitives.ts";
import {
  type Address,
  address,
  buffer,
  clientPayload,
  hash,
  little,
  openRound,
  Reader,
  readLittle,
  readReply,
  readServerPayload,
  type Reply,
  type Request,
  request,
  type Round,
  sealRound,
  uint,
} from "./spec_wire.ts";

// --- The client

const [PING, PEER_HANDSHAKE, PEER_HOLEPUNCH, FIND_PEER] = [0, 0, 1, 2];
const [UNKNOWN, OPEN, CONSISTENT] = [0, 1, 2];
const [DATA, END] = [1, 2];
const RESEND_MS = 500;
const PUNCH_MS = 100;
const NOTHING: Uint8Array = new Uint8Array(0);

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One connection. */
export class SpecClient {
  /** Whether a punch has shown the way. */
  isPunched = false;
  readonly #socket: Socket = createSocket("udp4");
  readonly #streamId = 0x5bec;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  #lastTid = 0;
  /** Nodes of the network. */
  #known: Address[] = [];
  #remoteId = 0;
  #remote: Address | undefined;
  #seq = 0;
  #expected = 0;
  /** Packets that the peer has not acknowledged. */
  #unacked: { readonly seq: number; readonly packet: Uint8Array }[] = [];
  /** What came of the stream and is no whole frame yet. */
  #received: Uint8Array = NOTHING;
  #opener: TextSecretstream | undefined;
  #keys: { readonly tx: Uint8Array; readonly rx: Uint8Array; readonly hash: Uint8Array } | undefined;
  #sealer: TextSecretstream | undefined;
  readonly #messages: Uint8Array[] = [];
  #wake: () => void = () => {};
  #hasEnded = false;
  /** Packets on their way to the network. */
  #sending = 0;
  readonly #timer = setInterval(() => this.#resend(), RESEND_MS);

  /** Connects to the peer of a key, from one node of its network on; as one that others reach, or by a punch. */
  async connect(publicKey: Uint8Array, bootstrap: Address, mode: "open" | "punch"): Promise<void> {
    this.#socket.on(
      "message",
      (bytes, from) => this.#onDatagram(bytes, { host: from.address, port: from.port }),
    );
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    const target = hash([publicKey]);
    const relay = await this.#findPeer(target, bootstrap);
    await this.#shakeHands(publicKey, target, relay, mode);
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
    this.#sendPacket(END, NOTHING);
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
    else if (bytes.length === 1 && this.#remote === undefined) {
      this.isPunched = true;
      this.#remote = from;
      this.#receive();
    }
    this.#wake();
  }

  // dht-rpc.md, 2.1 and 4

  async #ask(to: Address, what: Request): Promise<Reply> {
    const tid = ++this.#lastTid;
    this.#socket.send(request(tid, to, what), to.port, to.host);
    return await new Promise((resolve) => this.#replies.set(tid, resolve));
  }

  // hyperdht.md, 7: the way to a peer is with the nodes nearest to the hash of its key

  async #findPeer(target: Uint8Array, bootstrap: Address): Promise<Address> {
    const known = this.#known = [bootstrap];
    for (const node of known) {
      const { closerNodes, value } = await this.#ask(node, { command: FIND_PEER, target });
      for (const next of closerNodes) {
        if (!known.some(({ port }) => port === next.port)) known.push(next);
      }
      if (value !== undefined) return node;
    }
    throw new Error("no node knows the peer");
  }

  // hyperdht.md, 12.1 and 12.2

  async #shakeHands(
    publicKey: Uint8Array,
    target: Uint8Array,
    relay: Address,
    mode: "open" | "punch",
  ): Promise<void> {
    const keys = { s: wasm.keyPair(seed(11)), e: wasm.keyPair(seed(12)) };
    const handshake = new TextHandshake(namespace("hyperswarm/dht", PEER_HANDSHAKE), keys, publicKey);
    const own = [{ host: "127.0.0.1", port: this.#socket.address().port }];
    const payload = mode === "open"
      ? clientPayload(OPEN, own, this.#streamId)
      : clientPayload(UNKNOWN, [], this.#streamId);
    const value = concat([Uint8Array.of(0, 0), buffer(handshake.write(payload))]);
    const { value: reply } = await this.#ask(relay, { command: PEER_HANDSHAKE, target, value });
    const answer = new Reader(reply!);
    const flags = answer.uint();
    if (answer.uint() !== 4) throw new Error("no answer");
    const { holepunch, streamId } = readServerPayload(handshake.read(answer.buffer()));
    const server = flags & 1 ? answer.address() : relay;
    this.#remoteId = streamId;
    const [tx, rx] = handshake.split();
    this.#keys = { tx, rx, hash: handshake.hash };
    this.#receive();
    if (mode === "open") return;
    await this.#punch(target, holepunch!, [relay, server]);
  }

  // hyperdht.md, 6.1 and 6.2

  async #punch(
    target: Uint8Array,
    { id, relays }: { readonly id: number; readonly relays: readonly (readonly [Address, Address])[] },
    clientRelay: readonly [Address, Address],
  ): Promise<void> {
    const secret = hash([namespace("hyperswarm/dht", PEER_HOLEPUNCH)], this.#keys!.hash);
    const say = async ([relay, peer]: readonly [Address, Address], round: Round) => {
      const sealed = buffer(sealRound(secret, hash([little(round.round, 4)]).subarray(0, 24), round));
      const value = concat([Uint8Array.of(1, 0), uint(id), sealed, address(peer)]);
      const { value: reply } = await this.#ask(relay, { command: PEER_HOLEPUNCH, target, value });
      const reader = new Reader(reply!);
      const [, mode] = [reader.uint(), reader.uint(), reader.uint()];
      if (mode !== 4) throw new Error("no answer");
      const answer = openRound(secret, reader.buffer());
      if (answer.error !== 0) throw new Error(`error ${answer.error}`);
      return answer;
    };
    const addresses = await this.#seenAs();
    const facts = { error: 0, firewall: CONSISTENT, addresses, isPunching: false };
    const serverRelay = relays.find(([relay]) => relay.port === clientRelay[0].port) ?? relays[0]!;
    const first = await say(serverRelay, { ...facts, round: 0 });
    const token = hash([utf8(clientRelay[1].host)], seed(14));
    const start = { ...facts, round: 1, isPunching: true, token, remoteToken: first.token };
    const second = await say(clientRelay, start);
    if (!second.isPunching || !equals(second.remoteToken ?? NOTHING, token)) throw new Error("no punching");
    while (this.#remote === undefined) {
      for (const { host, port } of second.addresses!) this.#socket.send(Uint8Array.of(0), port, host);
      await pause(PUNCH_MS);
    }
  }

  /** Where four nodes see the socket; on one host they agree. */
  async #seenAs(): Promise<Address[]> {
    const nodes = this.#known.slice(0, 4);
    const replies = await Promise.all(
      nodes.map((node) => this.#ask(node, { isInternal: true, command: PING })),
    );
    const seen = replies.map(({ to }) => to);
    if (seen.length < 3 || seen.some(({ port }) => port !== seen[0]!.port)) throw new Error("not consistent");
    return [seen[0]!];
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
      if (this.#remoteId !== 0) this.#transmit(this.#packet(0, NOTHING));
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
    return hash([namespace("hyperswarm/secret-stream", role)], this.#keys!.hash);
  }
}

// hyperdht.md, 1; secret-stream.md, 1
function namespace(name: string, id: number): Uint8Array {
  return hash([hash([utf8(name)]), Uint8Array.of(id)]);
}

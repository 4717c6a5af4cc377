/** What the stream interop tests share: a reference peer as a child process, over TCP or UDX on this host. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import net from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { KeyPair } from "../../core/runtime/crypto_provider.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { NodeUdpNetwork } from "../../transports/udp/node.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";
import { fromNodeDuplex } from "../../core/stream/node_duplex.ts";

const folder = new URL("./reference/", import.meta.url);
const isInstalled = existsSync(new URL("node_modules/protomux/package.json", folder));
/** Why interop tests cannot run here, if so. */
export const skip: string | undefined = isInstalled
  ? undefined
  : "the reference is not installed: deno task interop";

/** The world as it is. */
export const runtime: Runtime = {
  clock: new SystemClock(),
  random: new SystemRandom(),
  crypto: await loadCryptoProvider(),
};

/** The key pair whose seed is 32 times `n`. */
export function keyPair(n: number): KeyPair {
  return runtime.crypto.keyPair(new Uint8Array(32).fill(n));
}

/** The same bytes as `pattern` of the reference peer. */
export function pattern(size: number, n: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255);
}

/** Something that the reference peer told. */
export interface PeerEvent {
  readonly event: string;
  // deno-lint-ignore no-explicit-any
  readonly [detail: string]: any;
}

/** What a reference peer is started with; see `reference/secret_stream_peer.mjs`. */
export interface PeerSettings {
  /** What lies below: TCP, unless it is UDX. */
  readonly carrier?: "tcp" | "udx";
  readonly listen: boolean;
  readonly isInitiator: boolean;
  readonly seed: number;
  readonly pattern?: "XX" | "IK";
  readonly remotePublicKey?: string;
  readonly session?: Readonly<Record<string, string>>;
  readonly keepAlive?: number;
  readonly echo?: boolean;
  readonly mux?: boolean;
}

/** A reference peer and the pipe that leads to it. */
export class StreamPeer implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #isDone: Promise<unknown>;
  readonly #events: PeerEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #exited = false;
  #endpoint: UdxEndpoint | undefined;
  /** The pipe to the peer. */
  pipe!: Duplex;

  private constructor(settings: Record<string, unknown>) {
    const file = fileURLToPath(new URL("secret_stream_peer.mjs", folder));
    this.#process = spawn("node", [file, JSON.stringify(settings)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdin!.on("error", () => {});
    const closed = once(this.#process, "close").then(() => {
      this.#exited = true;
      this.#wake();
    });
    this.#isDone = Promise.all([closed, this.#listen()]);
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      this.#events.push(JSON.parse(line));
      this.#wake();
    }
  }

  /** Starts a peer and connects to it, or lets it connect to us. */
  static async start(settings: PeerSettings): Promise<StreamPeer> {
    if (settings.carrier === "udx") return await StreamPeer.#startOnUdx(settings);
    if (settings.listen) {
      const peer = new StreamPeer({ carrier: "tcp", ...settings });
      const { address } = await peer.next("listening");
      const socket = net.connect({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
      peer.pipe = fromNodeDuplex(socket);
      return peer;
    }
    const server = net.createServer({ allowHalfOpen: true });
    const connection = once(server, "connection");
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const peer = new StreamPeer({ carrier: "tcp", port, ...settings });
    const [socket] = await connection as [net.Socket];
    server.close();
    peer.pipe = fromNodeDuplex(socket);
    return peer;
  }

  static async #startOnUdx(settings: PeerSettings): Promise<StreamPeer> {
    const endpoint = new UdxEndpoint(runtime, new NodeUdpNetwork());
    const socket = await endpoint.bind({ host: "127.0.0.1" });
    const stream = endpoint.createStream();
    const peer = new StreamPeer({ ...settings, port: socket.address.port, id: stream.id });
    peer.#endpoint = endpoint;
    peer.pipe = stream;
    const { address } = await peer.next("listening");
    stream.connect(socket, address.id, SocketAddress.of("127.0.0.1", address.port));
    return peer;
  }

  /** Has the peer do something. */
  tell(command: string, details: Record<string, unknown> = {}): void {
    this.#process.stdin!.write(`${JSON.stringify({ command, ...details })}\n`);
  }

  /** The next event called `name`; others before it stay for later. */
  async next(name: string, matches: (event: PeerEvent) => boolean = () => true): Promise<PeerEvent> {
    while (true) {
      const index = this.#events.findIndex((event) => event.event === name && matches(event));
      if (index !== -1) return this.#events.splice(index, 1)[0]!;
      assert.equal(
        this.#exited,
        false,
        `the peer exited before ${name}; it said ${JSON.stringify(this.#events)}`,
      );
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** What the peer has told and nobody has asked for. */
  get untold(): readonly PeerEvent[] {
    return this.#events;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.pipe.destroy();
    this.#process.stdin!.end();
    await this.#isDone;
    await this.#endpoint?.close();
  }
}

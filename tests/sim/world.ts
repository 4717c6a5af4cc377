/**
 * One simulated world from one seed: a server on the public internet, clients behind routers of all kinds, bad links and faults
 * that come and go. Each client sends bytes through UDX, bare or under a secret stream, and the server sends them back.
 *
 *     client -- router --+
 *     client -- router --+-- core -- server
 *     client ------------+
 *
 * What must hold. Safety, always: a client gets back what it sent, in order, and only errors that are nobody's fault. Liveness,
 * once the faults have stopped: every client finishes. In the end nothing is left: no stream, no timer, no packet.
 */
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { KeyPair } from "../../core/runtime/crypto_provider.ts";
import type { Clock, Runtime } from "../../core/runtime/runtime.ts";
import { macrotask } from "../../core/runtime/system.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { ROUTER_TYPES, type RouterType, SimulatedNetwork } from "../../transports/memory/mod.ts";
import type { SimulatedHost } from "../../transports/memory/mod.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";
import type { Link } from "../../transports/transport.ts";
import { drawConditions, scheduleFaults } from "./faults.ts";

/** How long faults happen, in virtual milliseconds. */
const FAULTS_MS = 30_000;
/** How long everything may take after the last fault. */
const RECOVERY_MS = 180_000;
/** How long a client waits for bytes. */
const SILENCE_MS = 30_000;

/** What a run came to. */
export interface WorldReport {
  /** What did not hold; empty if all did. */
  readonly complaints: readonly string[];
  /** All that the seed decided, for a person. */
  readonly description: string;
  /** The same for every run of the same seed. */
  readonly hash: number;
  /** Virtual milliseconds until the end. */
  readonly elapsedMs: number;
  /** Datagrams that were sent. */
  readonly datagrams: number;
}

interface Client {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly transport: UdxTransport;
  readonly size: number;
  readonly isSecret: boolean;
  attempts: number;
  isDone: boolean;
}

/** Ports of the server: what comes to the one is taken as it is, what comes to the other is a secret stream. */
const BARE_PORT = 4000;
const SECRET_PORT = 4001;
/** Keepalive and patience of the secret streams, in virtual milliseconds: an idle end must notice that the other is gone. */
const SECRET_TIMES = { keepAliveMs: 5000, idleTimeoutMs: 20_000, pattern: "IK" } as const;

/** The byte that `client` sends at `offset`. */
const byteAt = (client: number, offset: number) => (offset * 31 + (offset >>> 8) + client) & 0xff;

/** Runs the world of `seed` to its end. */
export async function runWorld(seed: string | number): Promise<WorldReport> {
  const world = new World(seed, await loadCryptoProvider({ prefer: "wasm" }));
  return await world.run();
}

class World {
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #runtime: Runtime;
  readonly #network: SimulatedNetwork;
  readonly #server: SimulatedHost;
  readonly #bareServer: UdxTransport;
  readonly #secretServer: UdxTransport;
  readonly #serverKeys: KeyPair;
  /** Secret streams of the server that have not closed. */
  #openAtServer = 0;
  readonly #clients: Client[] = [];
  readonly #complaints: string[] = [];
  readonly #description: string[] = [];
  #isOver = false;

  constructor(seed: string | number, crypto: Runtime["crypto"]) {
    this.#random = new SeededRandom(seed);
    this.#runtime = { clock: this.#clock, random: this.#random.fork("runtime"), crypto };
    const wan = drawConditions(this.#random.fork("conditions"));
    this.#network = new SimulatedNetwork({ clock: this.#clock, random: this.#random.fork("network"), wan });
    this.#description.push(`wan ${JSON.stringify(wan)}`);
    this.#server = this.#network.host({ name: "server", link: { latencyMs: 5 } });
    this.#bareServer = new UdxTransport(this.#runtime, this.#server, { port: BARE_PORT });
    this.#secretServer = new UdxTransport(this.#runtime, this.#server, { port: SECRET_PORT });
    this.#serverKeys = crypto.keyPair(new Uint8Array(32).fill(1));
    const count = 1 + this.#random.below(4);
    for (let i = 0; i < count; i++) this.#clients.push(this.#makeClient(i));
    const victims = this.#clients.map(({ host }) => host);
    const scene = {
      clock: this.#clock,
      network: this.#network,
      victims,
      others: [this.#server],
      wan,
      untilMs: FAULTS_MS,
    };
    this.#description.push(...scheduleFaults(this.#random.fork("faults"), scene));
  }

  async run(): Promise<WorldReport> {
    const listeners = [
      await this.#bareServer.listen(({ duplex }) => echo(duplex, () => {})),
      await this.#secretServer.listen((link) => this.#serveSecret(link)),
    ];
    for (const [index] of this.#clients.entries()) void this.#runClient(index);
    const isOver = () => this.#clients.every((client) => client.isDone) && this.#clock.now() >= FAULTS_MS;
    await this.#clock.runAsync(macrotask, { until: FAULTS_MS + RECOVERY_MS, stop: isOver });
    const elapsedMs = this.#clock.now();
    this.#isOver = true;
    for (const { name, isDone, attempts } of this.#clients) {
      if (!isDone) this.#complaints.push(`${name} did not finish in ${attempts} attempts`);
    }
    await this.#tearDown(listeners);
    const { traceHash, counters } = this.#network;
    return {
      complaints: this.#complaints,
      description: this.#description.join("; "),
      hash: traceHash,
      elapsedMs,
      datagrams: counters.sent,
    };
  }

  #makeClient(index: number): Client {
    const types = (Object.keys(ROUTER_TYPES) as RouterType[]).filter((type) => type !== "udp-blocked");
    const type = this.#random.chance(1, 4) ? undefined : types[this.#random.below(types.length)]!;
    const size = this.#random.below(200_000);
    const name = `client${index}`;
    const isSecret = this.#random.chance(1, 2);
    const how = isSecret ? "in a secret stream" : "as they are";
    this.#description.push(`${name} behind ${type ?? "nothing"}, ${size} bytes ${how}`);
    const behind = type === undefined ? {} : { behind: this.#network.router({ type }) };
    const host = this.#network.host({ name, ...behind });
    return {
      name,
      host,
      transport: new UdxTransport(this.#runtime, host),
      size,
      isSecret,
      attempts: 0,
      isDone: false,
    };
  }

  #serveSecret(link: Link): void {
    const stream = new SecretStream(link.duplex, this.#runtime, {
      ...SECRET_TIMES,
      isInitiator: false,
      keyPair: this.#serverKeys,
    });
    this.#openAtServer++;
    echo(stream, (error) => {
      this.#openAtServer--;
      if (error !== undefined && !(error instanceof ConnectError)) {
        this.#complaints.push(`the server got ${error.stack}`);
      }
    });
    stream.start();
  }

  /** Opens a link to the server, and a secret stream on it if the client uses one. */
  async #dial({ transport, isSecret, name }: Client): Promise<Duplex> {
    const port = isSecret ? SECRET_PORT : BARE_PORT;
    const { duplex } = await transport.dial(`udx:${this.#server.address}:${port}`);
    if (!isSecret) return duplex;
    const seed = this.#random.fork(name).fill(new Uint8Array(32));
    const stream = new SecretStream(duplex, this.#runtime, {
      ...SECRET_TIMES,
      isInitiator: true,
      keyPair: this.#runtime.crypto.keyPair(seed),
      remotePublicKey: this.#serverKeys.publicKey,
    });
    stream.start();
    return stream;
  }

  /** Tries until all bytes have come back. */
  async #runClient(index: number): Promise<void> {
    const client = this.#clients[index]!;
    while (!client.isDone && !this.#isOver) {
      client.attempts++;
      try {
        const duplex = await this.#dial(client);
        await exchange(duplex, this.#clock, { client: index, size: client.size }, this.#complaints);
        client.isDone = true;
      } catch (error) {
        if (!(error instanceof ConnectError)) {
          this.#complaints.push(
            `${client.name} failed for no good reason: ${error instanceof Error ? error.stack : error}`,
          );
          return;
        }
        const wait = this.#clock.now() + 500;
        await new Promise<void>((resolve) => void this.#clock.schedule(wait, resolve));
      }
    }
  }

  async #tearDown(listeners: readonly AsyncDisposable[]): Promise<void> {
    for (const listener of listeners) await listener[Symbol.asyncDispose]();
    // A client that gave up may have nobody told: the server must find out by itself.
    await this.#clock.runAsync(macrotask, { until: this.#clock.now() + 2 * SECRET_TIMES.idleTimeoutMs });
    if (this.#openAtServer > 0) {
      this.#complaints.push(`${this.#openAtServer} secret streams never closed at the server`);
    }
    const transports = [
      this.#bareServer,
      this.#secretServer,
      ...this.#clients.map(({ transport }) => transport),
    ];
    for (const transport of transports) await transport.close();
    await this.#clock.runAsync(macrotask, { until: this.#clock.now() + RECOVERY_MS });
    for (const { endpoint } of transports) {
      if (endpoint.streamCount > 0) this.#complaints.push(`${endpoint.streamCount} streams are left`);
    }
    if (this.#clock.pending > 0) this.#complaints.push(`${this.#clock.pending} timers are left`);
    if (this.#network.inFlight > 0) this.#complaints.push(`${this.#network.inFlight} packets are left`);
  }
}

/** The server: sends back what comes, and ends when the client ends. */
function echo(duplex: Duplex, onClose: (error?: Error) => void): void {
  duplex.attach({
    onData(chunk) {
      const copy = duplex.alloc(chunk.length);
      copy.set(chunk);
      if (!duplex.write(copy)) duplex.pause();
    },
    onDrain: () => duplex.resume(),
    onEnd: () => duplex.end(),
    onClose,
  });
}

/**
 * The client: sends `size` bytes, and resolves when the same bytes and the end have come back. Silence ends it, because a side that
 * only waits cannot know that the other gave up while the path was cut.
 */
function exchange(
  duplex: Duplex,
  clock: Clock,
  { client, size }: { readonly client: number; readonly size: number },
  complaints: string[],
): Promise<void> {
  let received = 0;
  let sent = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const silence = clock.schedule(
    clock.now() + SILENCE_MS,
    () => duplex.destroy(new ConnectError("TIMEOUT", "Silence")),
  );
  function send(): void {
    while (sent < size) {
      const chunk = duplex.alloc(Math.min(10_000, size - sent));
      for (let i = 0; i < chunk.length; i++) chunk[i] = byteAt(client, sent + i);
      sent += chunk.length;
      if (!duplex.write(chunk)) return;
    }
    duplex.end();
    sent = Infinity;
  }
  duplex.attach({
    onData(chunk) {
      const wrong = chunk.findIndex((byte, i) => byte !== byteAt(client, received + i));
      if (wrong !== -1) complaints.push(`client${client} got a wrong byte at ${received + wrong}`);
      received += chunk.length;
      silence.reset(clock.now() + SILENCE_MS);
    },
    onDrain() {
      if (sent <= size) send();
    },
    onEnd() {
      if (received !== size) {
        complaints.push(`client${client} got ${received} bytes of ${size}, then the end`);
      }
    },
    onClose(error) {
      silence.cancel();
      if (error !== undefined) reject(error);
      else resolve();
    },
  });
  send();
  return promise;
}

/**
 * Two peers behind routers that punch to each other, in a simulated network: the machines of `dht/punch/` with sockets, nodes that
 * say what they see, and relays that forward sealed payloads.
 *
 *     client -- router(s) --+        +-- router(s) -- server
 *                            \      /
 *                             core ---- nodes: reflect, relay
 *
 * What stands in for the layers above: a handshake of one packet each way through a relay, requests that are repeated every second,
 * and a stream that is a packet of 20 bytes each way.
 */
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import { macrotask } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { PunchBudget } from "../../dht/punch/budget.ts";
import { Firewall } from "../../dht/punch/constants.ts";
import { PunchInitiator } from "../../dht/punch/initiator.ts";
import { SecurePayload } from "../../dht/punch/payload.ts";
import type { PunchEvent } from "../../dht/punch/puncher.ts";
import { PunchResponder } from "../../dht/punch/responder.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { concat } from "../../encoding/bytes.ts";
import { type LinkConditions, type RouterType, SimulatedNetwork } from "../../transports/memory/mod.ts";
import { addressBytes, ANNOUNCED, type Forwarded, readAddress, Side, startNode } from "./punch_side.ts";

/** What to simulate. */
export interface PunchScenario {
  readonly client: RouterType;
  readonly server: RouterType;
  readonly seed: number;
  /** Conditions of each router's link outside; 25 ms by default. */
  readonly wan?: LinkConditions;
  /** Routers in the core; with 1 of them a low TTL is not low enough. 8 by default. */
  readonly coreHops?: number;
  /** Whether sockets can set the TTL; true by default. */
  readonly canSetTtl?: boolean;
  /** Nodes that say what they see; 8 by default. */
  readonly nodes?: number;
}

/** What became of it. */
export interface PunchReport {
  /** Milliseconds until both sides had a packet of the stream from the other; undefined if they never had. */
  readonly connectedMs: number | undefined;
  /** Why there is no connection. */
  readonly failure: string | undefined;
  /** Milliseconds until that was known. */
  readonly failedMs: number | undefined;
  /** Punches that were sent, by both. */
  readonly punches: number;
  /** Sockets that are still open in the end, besides the main ones and the two of the connection, and timers that are armed. */
  readonly left: number;
}

const REPEAT_MS = 1000;
const REPEATS = 4;
/** A handshake goes through several relays at once; here through one, but more often. */
const HANDSHAKE_REPEATS = 10;
const STREAM_REPEAT_MS = 100;
const SETTLE_MS = 1000;
const LIMIT_MS = 60_000;

/** First byte of a forwarded body: the handshake, or a round with its number, which the answer repeats. */
const Body = { Handshake: 0, Round: 1 } as const;

/** Runs one scenario to its end. */
export async function runPunch(scenario: PunchScenario): Promise<PunchReport> {
  return await new PunchWorld(scenario, await loadCryptoProvider({ prefer: "wasm" })).run();
}

class PunchWorld {
  readonly #scenario: PunchScenario;
  readonly #crypto: CryptoProvider;
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #nodes: SocketAddress[] = [];
  /** Stop the repetitions of rounds that have not been answered. */
  readonly #rounds = new Map<number, () => void>();
  #client!: Side;
  #server!: Side;
  #clientSecure!: SecurePayload;
  #serverSecure!: SecurePayload;
  /** Rounds that have come in, by the number that the responder knows them by. */
  readonly #requests: {
    readonly relay: SocketAddress;
    readonly from: SocketAddress;
    readonly round: number;
  }[] = [];
  #initiator: PunchInitiator | undefined;
  #responder: PunchResponder | undefined;
  #stopHandshake: () => void = () => {};
  #startedAt = 0;
  #endedAt: number | undefined;
  #isConnected = false;
  #failure: string | undefined;

  constructor(scenario: PunchScenario, crypto: CryptoProvider) {
    this.#scenario = scenario;
    this.#crypto = crypto;
    this.#random = new SeededRandom(`punch/${scenario.seed}`);
  }

  async run(): Promise<PunchReport> {
    await this.#build();
    this.#dial();
    await this.#run(LIMIT_MS);
    if (this.#endedAt === undefined) this.#end("HALF_OPEN");
    const elapsedMs = this.#endedAt! - this.#startedAt;
    const sides = [this.#client, this.#server];
    for (const side of sides) {
      side.machine?.finish(this.#clock.now());
      side.turn();
      side.stop();
    }
    await this.#clock.runAsync(macrotask, { until: this.#clock.now() + SETTLE_MS });
    for (const side of sides) side.turn();
    const sockets = sides.reduce((sum, { socketCount }) => sum + socketCount, 0);
    const expected = sides.length + (this.#isConnected ? sides.length : 0);
    return {
      connectedMs: this.#isConnected ? elapsedMs : undefined,
      failure: this.#failure,
      failedMs: this.#isConnected ? undefined : elapsedMs,
      punches: this.#client.punches + this.#server.punches,
      left: Math.max(0, sockets - expected) + this.#clock.pending,
    };
  }

  async #run(ms: number): Promise<void> {
    const stop = () => this.#endedAt !== undefined;
    await this.#clock.runAsync(macrotask, { until: this.#clock.now() + ms, stop });
  }

  async #build(): Promise<void> {
    const { coreHops = 8, wan = { latencyMs: 25 }, nodes = 8, canSetTtl = true } = this.#scenario;
    const network = new SimulatedNetwork({ clock: this.#clock, random: this.#random, wan, coreHops });
    for (let i = 0; i < nodes; i++) {
      this.#nodes.push(await startNode(network.host({ link: { latencyMs: 5 } })));
    }
    const build = async (name: string, type: RouterType) => {
      const host = network.host({ name, behind: network.router({ type }) });
      const side = new Side(this.#clock, host, this.#nodes, { canSetTtl });
      await side.bind();
      return side;
    };
    const [client, server] = [
      await build("client", this.#scenario.client),
      await build("server", this.#scenario.server),
    ];
    [this.#client, this.#server] = [client, server];
    client.onForwarded = (forwarded) => this.#onClientMessage(forwarded);
    client.onEvent = (event) => this.#onInitiatorEvent(event);
    client.onStream = () => {
      this.#isConnected = true;
      this.#endedAt ??= this.#clock.now();
    };
    server.onForwarded = (forwarded) => this.#onServerMessage(forwarded);
    server.onStream = (socket, from) => {
      server.machine?.finish(this.#clock.now(), socket);
      server.sendStream(socket, from);
    };
    for (const relay of this.#relays) server.repeat(REPEATS, REPEAT_MS, () => server.announce(relay));
    await this.#run(REPEATS * REPEAT_MS);
  }

  /** The nodes that the server announced itself to. */
  get #relays(): readonly SocketAddress[] {
    return this.#nodes.slice(0, 2);
  }

  #end(failure: string): void {
    this.#failure = failure;
    this.#endedAt ??= this.#clock.now();
  }

  /** The client dials: a handshake to the server's main socket. */
  #dial(): void {
    this.#startedAt = this.#clock.now();
    const send = () =>
      this.#client.forward(undefined, this.#nodes[0]!, ANNOUNCED, Uint8Array.of(Body.Handshake));
    this.#stopHandshake = this.#client.repeat(
      HANDSHAKE_REPEATS,
      REPEAT_MS / 2,
      send,
      () => this.#end("NO_HANDSHAKE"),
    );
  }

  #common(label: string) {
    const random = this.#random.fork(label);
    const secure = new SecurePayload({ crypto: this.#crypto, random }, new Uint8Array(32).fill(9));
    const options = {
      ...{ random, budget: new PunchBudget(), remoteFirewall: Firewall.Unknown, isFirewalled: true },
      ...{ allowsPrivate: false, canWait: false, tokenOf: (address: SocketAddress) => secure.token(address) },
    };
    return { secure, options };
  }

  #onServerMessage({ socket, relay, from, seenAs, body }: Forwarded): void {
    const server = this.#server;
    if (body[0] === Body.Handshake) {
      const seen = this.#relays.map((node) => addressBytes(server.seenAs.get(node.key) ?? ANNOUNCED));
      const answer = concat([Uint8Array.of(Body.Handshake), ...seen]);
      return this.#whenServerReady(() => server.forward(0, relay, from, answer));
    }
    const payload = this.#serverSecure.open(body.subarray(2));
    if (payload === undefined) return;
    const id = this.#requests.push({ relay, from, round: body[1]! }) - 1;
    const arrival = socket === undefined ? undefined : { socket, seenAs };
    const isOwnRelay = this.#relays.some((node) => node.equals(relay));
    const request = { payload, peerAddress: from, from: relay, isOwnRelay, arrival };
    this.#responder?.handleRequest(this.#clock.now(), id, request);
  }

  /** The first handshake makes the machine; its first socket answers. */
  #whenServerReady(answer: () => void): void {
    const server = this.#server;
    if (this.#responder !== undefined) return answer();
    const { secure, options } = this.#common("server");
    this.#serverSecure = secure;
    this.#responder = new PunchResponder({ ...options, now: this.#clock.now() });
    server.machine = this.#responder;
    server.onReady = answer;
    server.onEvent = (event) => this.#onResponderEvent(event);
  }

  #onResponderEvent(event: PunchEvent): void {
    if (event.type !== "reply") return;
    const { relay, from, round } = this.#requests[event.id]!;
    const body = concat([Uint8Array.of(Body.Round, round), this.#serverSecure.seal(event.payload)]);
    this.#server.forward(event.socket, relay, from, body);
  }

  #onClientMessage({ relay, from, seenAs, body }: Forwarded): void {
    if (body[0] === Body.Handshake) {
      if (this.#initiator !== undefined) return;
      this.#stopHandshake();
      return this.#startInitiator(relay, from, body);
    }
    this.#rounds.get(body[1]!)?.();
    const payload = this.#clientSecure.open(body.subarray(2));
    this.#initiator?.handleReply(this.#clock.now(), body[1]!, {
      payload,
      from: relay,
      seenAs,
      peerAddress: from,
    });
  }

  #startInitiator(clientRelay: SocketAddress, serverAddress: SocketAddress, body: Uint8Array): void {
    const { secure, options } = this.#common("client");
    this.#clientSecure = secure;
    const index = this.#scenario.seed % 2; // every other time the server's relay is not the client's
    const serverRelay = { relayAddress: this.#relays[index]!, peerAddress: readAddress(body, 1 + 6 * index) };
    this.#initiator = new PunchInitiator({
      ...options,
      clientRelay,
      serverAddress,
      serverRelay,
      fastOpen: true,
    });
    this.#client.machine = this.#initiator;
  }

  #onInitiatorEvent(event: PunchEvent): void {
    const client = this.#client;
    if (event.type === "round") {
      const { id, socket, relay, peerAddress } = event;
      const body = concat([Uint8Array.of(Body.Round, id), this.#clientSecure.seal(event.payload)]);
      const send = () => client.forward(socket, relay, peerAddress, body);
      const onSilence = () => {
        this.#initiator?.handleSilence(this.#clock.now(), id);
        client.turn();
      };
      this.#rounds.set(id, client.repeat(REPEATS, REPEAT_MS, send, onSilence));
    } else if (event.type === "connected") {
      const { socket, address } = event;
      client.repeat(LIMIT_MS / STREAM_REPEAT_MS, STREAM_REPEAT_MS, () => client.sendStream(socket, address));
    } else if (event.type === "failed") {
      this.#end(event.code);
    }
  }
}

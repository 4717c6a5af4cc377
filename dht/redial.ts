/**
 * Looks for a new path for a connection that has lost its own: the same steps as a dial, and at their end not a new stream, but the
 * old one in another place. Only the side that has dialed does so, so that the two do not cross.
 */
import { ConnectError, type ErrorCode } from "../core/runtime/errors.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import type { PathKind, PeerPath } from "./connect_types.ts";
import type { DhtContext } from "./context.ts";
import { DialRun, type DialRunEvent, type DialRunOptions, type DialSockets } from "./dial_run.ts";
import type { Mobility } from "./mobility.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import type { PunchLease } from "./punch_driver.ts";

/** What a {@linkcode Redial} is for. */
export interface RedialConfig extends Omit<DialRunOptions, "payload" | "mayRelay"> {
  /** Our end of the connection. */
  readonly stream: UdxStream;
  /** The id of the peer's end. */
  readonly remoteId: number;
  /** Moves it. */
  readonly mobility: Mobility;
}

/** A path that was found. */
export interface FoundPath {
  /** What kind it is. */
  readonly kind: PathKind;
  /** The socket to it, if it was made for that: the caller's, who releases it. */
  readonly lease: PunchLease | undefined;
}

/** When the stream proves itself on a path that is tried, in milliseconds: one packet that gets through is enough. */
const PROOFS_MS: readonly number[] = [0, 100, 300, 700, 1500];
/** Milliseconds between two looks at whether the peer was heard. */
const LOOK_MS = 20;

/** See the head of the file. Begins at once. */
export class Redial {
  /** Resolves when the peer is heard on the new path; rejects with a `ConnectError` that says why there is none. */
  readonly done: Promise<FoundPath>;
  readonly #context: DhtContext;
  readonly #config: RedialConfig;
  readonly #run: DialRun;
  readonly #result = Promise.withResolvers<FoundPath>();
  readonly #timer: ReturnType<DhtContext["runtime"]["clock"]["schedule"]>;
  #triedAt = Infinity;
  #proofs = 0;

  /** Dials. `sockets` are those of the node. */
  constructor(
    context: DhtContext,
    pool: SocketPool<UdxSocket>,
    config: RedialConfig,
    sockets: DialSockets,
  ) {
    this.#context = context;
    this.#config = config;
    this.done = this.#result.promise;
    this.done.catch(() => {});
    const { reusableSocket, stream } = config;
    const udx = { reusableSocket, id: stream.id, seq: 0, mobility: "moves" } as const;
    const options = { ...config, payload: { udx }, mayRelay: false };
    this.#timer = context.runtime.clock.schedule(Infinity, () => this.#look());
    this.#run = new DialRun(context, pool, sockets, options, (event) => this.#handle(event));
    this.#run.turn();
  }

  /** Gives up. */
  cancel(reason: Error): void {
    this.#end();
    this.#result.reject(reason);
  }

  /** For the firewall of the stream: the peer speaks first, because it reaches us and we do not reach it. */
  handleStrayPacket(socket: UdxSocket, from: SocketAddress): boolean {
    const { machine, punch, isDone } = this.#run;
    if (isDone || machine.state !== "racing") return false;
    machine.handleStreamPacket(this.#now(), socket, from, punch.owns(socket));
    this.#run.turn();
    return true;
  }

  #now(): number {
    return this.#context.runtime.clock.now();
  }

  #handle(event: DialRunEvent): void {
    switch (event.type) {
      case "keys": {
        const { udx } = event.payload;
        const isKnown = udx?.mobility === "moves" && udx.id === this.#config.remoteId;
        if (!isKnown) this.#fail("CONNECTION_RESET", "The peer does not know the connection any more");
        return;
      }
      case "path":
        return this.#follow(event.path);
      case "pathProven":
        return; // here the stream proves itself, since both ends have to move
      case "failed":
        return this.#fail(event.code, event.message);
    }
  }

  #follow({ socket, address }: PeerPath): void {
    if (this.#config.stream.isClosed) return;
    this.#triedAt = this.#now();
    this.#proofs = 1;
    this.#config.mobility.move(socket as UdxSocket, address);
    this.#timer.reset(this.#triedAt + LOOK_MS);
  }

  /** Looks whether the peer was heard, and proves again until it was. */
  #look(): void {
    if (this.#run.isDone) return;
    const now = this.#now();
    const { stream, mobility } = this.#config;
    if (stream.pathHeardAt >= this.#triedAt) return this.#finish();
    if (now >= this.#triedAt + (PROOFS_MS[this.#proofs] ?? Infinity)) {
      this.#proofs++;
      mobility.prove();
    }
    this.#timer.reset(now + LOOK_MS);
  }

  #finish(): void {
    const { machine, punch } = this.#run;
    machine.handleProven();
    const path = machine.path!;
    const lease = punch.take(path.socket);
    lease?.confirm();
    this.#end();
    this.#result.resolve({ kind: path.kind, lease });
  }

  #fail(code: ErrorCode, message: string): void {
    this.#end();
    this.#result.reject(new ConnectError(code, message));
  }

  #end(): void {
    this.#timer.cancel();
    this.#run.stop();
  }
}

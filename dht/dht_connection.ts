/** A connection that knows which way it takes. */
import type { Runtime } from "../core/runtime/runtime.ts";
import { Connection, type ConnectionOptions } from "../core/stream/connection.ts";
import type { TraceEvent } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import type { PathKind } from "./connect_types.ts";

/** Which way a connection takes now. */
export interface ConnectionPath {
  /** Straight, within the local network, through a punched hole, or by a relay that cannot read it. */
  readonly kind: PathKind;
  /** Where packets go. */
  readonly address: SocketAddress | undefined;
  /** Milliseconds there and back, smoothed; 0 = not measured yet. */
  readonly rttMs: number;
}

/** What a {@linkcode DhtConnection} is made with. */
export interface DhtConnectionOptions extends ConnectionOptions {
  /** Which way it takes; asked each time. */
  readonly pathKind: () => PathKind;
  /** What happened until it was open; asked each time. */
  readonly trace: () => TraceEvent[];
}

/** An encrypted connection to a peer of the DHT. */
export class DhtConnection extends Connection {
  /** The stream that carries it. For raw streams along the same way; it must not be read or written. */
  readonly stream: UdxStream;
  readonly #pathKind: () => PathKind;
  readonly #trace: () => TraceEvent[];

  /** Made by a `Connector` or a `DhtServer`. */
  constructor(stream: UdxStream, runtime: Runtime, options: DhtConnectionOptions) {
    super(stream, runtime, options);
    this.stream = stream;
    this.#pathKind = options.pathKind;
    this.#trace = options.trace;
  }

  /** Which way it takes now. */
  get path(): ConnectionPath {
    const { remoteAddress, stats } = this.stream;
    return { kind: this.#pathKind(), address: remoteAddress, rttMs: stats.rtt };
  }

  /** The steps that led here, with NAT classes, relays and times: at most 128, oldest first. */
  get trace(): TraceEvent[] {
    return this.#trace();
  }

  /** The socket of this side; undefined once the stream is gone. */
  get socket(): UdxSocket | undefined {
    return this.stream.socket;
  }
}

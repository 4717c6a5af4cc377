/** What belongs to one attempt of a peer to connect to a server. */
import type { TraceLog } from "../core/runtime/trace.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import type { AcceptPunch } from "./accept_punch.ts";
import type { PathKind } from "./connect_types.ts";
import type { DhtConnection } from "./dht_connection.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import type { MovableConnection } from "./movable.ts";
import type { Nudge } from "./nudge.ts";
import type { RelayMeeting } from "./relay_meeting.ts";

/** See the head of the file. Only the driver writes it. */
export class Attempt {
  /** What happened. */
  readonly trace: TraceLog;
  /** The stream, from the answer on. */
  stream: UdxStream | undefined;
  /** The connection on it, from the first packet on. */
  connection: DhtConnection | undefined;
  /** What the handshake has agreed on. */
  keys: { readonly result: HandshakeResult; readonly payload: ReceivedNoisePayload } | undefined;
  /** Being punched to. */
  punch: AcceptPunch | undefined;
  /** Meeting the peer at a relay. */
  meeting: RelayMeeting | undefined;
  /** The connection for which the peer looks for another path, instead of making one. */
  moving: MovableConnection | undefined;
  /** The connection of this attempt, once the peer has proven itself, if it can be moved. */
  movable: MovableConnection | undefined;
  /** How the peer came to us, if it is not at a relay. */
  directKind: PathKind = "direct";
  /** The random bytes with which our direction begins, once they were sent ahead. */
  streamHeader: Uint8Array | undefined;
  /** How often that was. */
  greetings = 0;
  /** Repeats the first packet. */
  nudge: Nudge | undefined;
  /** Whether the peer has acknowledged anything: from then on the path is settled. */
  isSettled = false;
  /** An attempt that has just come. */
  constructor(trace: TraceLog) {
    this.trace = trace;
  }

  /** Whether the stream goes through a relay. */
  get isRelayed(): boolean {
    return this.meeting?.isRelayed === true;
  }

  /** Which way the stream takes. */
  get pathKind(): PathKind {
    return this.isRelayed ? "relayed" : this.directKind;
  }

  /** It came to nothing: gives everything back. */
  end(): void {
    this.punch?.finish();
    this.punch = undefined;
    if (this.moving !== undefined) return; // it is not ours
    this.meeting?.close();
    this.nudge?.stop();
    this.connection?.abort();
    this.stream?.destroy();
    this.stream = undefined;
  }
}

/** Who replicates, as one of the peers sees it. */
import type { LogData, LogRequest } from "../log/proof_messages.ts";
import type { ProtocolError } from "../runtime/errors.ts";
import type { NoData } from "./messages.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** Who replicates, as a peer sees it. */
export interface PeerHost {
  /** The log. */
  readonly log: ReplicatedLog;
  /** Least and most requests on their way to one peer. */
  readonly inflightRange: readonly [min: number, max: number];
  /** Whether the log is being downloaded. */
  readonly isDownloading: boolean;
  /** Whether blocks are welcome that were not asked for. */
  readonly allowPush: boolean;
  /** The peer has proven that it knows the key. */
  onOpen(peer: PeerMachine): void;
  /** Its channel is over. */
  onClose(peer: PeerMachine, isRemote: boolean): void;
  /** It has said how its log stands. */
  onSync(peer: PeerMachine): void;
  /** What may be asked of it has changed. */
  onNews(peer: PeerMachine): void;
  /** It has told of a few blocks that it has. */
  onRange(peer: PeerMachine, start: number, end: number): void;
  /** An answer. */
  onData(peer: PeerMachine, data: LogData): void;
  /** A refusal. */
  onNoData(peer: PeerMachine, noData: NoData): void;
  /** A message of an application. */
  onExtension(peer: PeerMachine, name: string, message: Uint8Array): void;
  /** A block was sent to it. */
  onUpload(peer: PeerMachine, index: number, bytes: number): void;
  /** It has asked for what nobody could answer. */
  onInvalidRequest(peer: PeerMachine, request: LogRequest, error: ProtocolError): void;
}

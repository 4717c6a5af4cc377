/** One attempt of a peer to connect, as the machine that keeps all of them sees it, and what follows from that alone. */
import type { DeadlineEntry } from "../core/runtime/deadlines.ts";
import type { AcceptedHandshake, AcceptEvent, AcceptFacts, AcceptState } from "./accept_types.ts";
import type { CountedAttempt } from "./attempt_limits.ts";
import { KNOCK_SCHEDULE_MS } from "./connect_constants.ts";
import { HANDSHAKE_VERSION } from "./constants.ts";
import type { PeerHandshaking } from "./handshake.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import { PayloadError } from "./punch/constants.ts";
import { matchLanAddress } from "./punch/lan.ts";

/** See the head of the file. Only the machine writes it. */
export interface AcceptAttempt extends DeadlineEntry {
  readonly id: number;
  readonly key: string;
  readonly count: CountedAttempt;
  readonly handshaking: PeerHandshaking;
  readonly payload: ReceivedNoisePayload;
  readonly handshake: Omit<AcceptedHandshake, "noise">;
  state: AcceptState;
  /** Copies that wait for the answer. */
  copies: number[];
  answer: Uint8Array | undefined;
  isFromPunchSocket: boolean;
  /** When the state ends by itself. */
  until: number;
  /** Knocks that have gone out; `Infinity` if there are none to be made. */
  knocks: number;
  answeredAt: number;
  /** Where to meet the peer, and when to go there. */
  relay: AcceptEvent & { readonly type: "relay" } | undefined;
  relayAt: number;
  isMeeting: boolean;
  /** Whether punching has begun that ends by itself. */
  isPunching: boolean;
}

/** The host of the relay that passed a handshake on; undefined if none did. */
export function relayOf({ isDirect, from }: AcceptAttempt["handshake"]): string | undefined {
  return isDirect ? undefined : from.host;
}

/** Why the answer has to be a no, one of `PayloadError`. */
export function errorFor({ version, udx }: ReceivedNoisePayload, { isGone }: AcceptFacts): number {
  if (version !== HANDSHAKE_VERSION) return PayloadError.VersionMismatch;
  return udx === undefined || isGone ? PayloadError.Aborted : PayloadError.None;
}

/** Whether the peer may be in the same local network: it has the same address outside, and one like ours inside. */
export function isLocal({ handshake, payload }: AcceptAttempt, { localAddresses }: AcceptFacts): boolean {
  if (handshake.clientAddress.host !== handshake.to.host) return false;
  const theirs = payload.addresses4.filter(({ isPrivate }) => isPrivate);
  return matchLanAddress(localAddresses, theirs) !== undefined;
}

/** When the next knock is due. */
export function knockAt({ knocks, answeredAt }: AcceptAttempt): number {
  return answeredAt + (KNOCK_SCHEDULE_MS[knocks] ?? Infinity);
}

/** When it is time to go to the relay. */
export function relayAt({ relay, relayAt }: AcceptAttempt): number {
  return relay === undefined ? Infinity : relayAt;
}

/** How a dial fails, in words that say in which phase, why, and what to do. */
import { ConnectError, type ErrorCode } from "../core/runtime/errors.ts";
import type { TraceEvent } from "../core/runtime/trace.ts";
import type { ConnectState } from "./connect_types.ts";
import { HANDSHAKE_VERSION } from "./constants.ts";
import type { ReceivedNoisePayload } from "./handshake_messages.ts";
import { PayloadError } from "./punch/constants.ts";

/** Why a dial failed: which phase, which reason, what to do. The trace has the steps. */
export class DialError extends ConnectError {
  /** How far it came. */
  readonly phase: ConnectState;
  /** What happened, oldest first. */
  readonly trace: readonly TraceEvent[];

  /** Made by a dial. */
  constructor(
    code: ErrorCode,
    message: string,
    options: ErrorOptions & { readonly phase: ConnectState; readonly trace: readonly TraceEvent[] },
  ) {
    super(code, message, options);
    this.phase = options.phase;
    this.trace = options.trace;
  }
}

/** What to do when two peers have no way to each other. */
export const RELAY_ADVICE = "connect through a relay";
/** What to do when nothing answers. */
export const UDP_ADVICE = "check that UDP gets out of this network";

const PHASES: Readonly<Record<ConnectState, string>> = {
  finding: "while looking for the peer",
  racing: "while looking for a way to the peer",
  opening: "while waiting for the peer's proof",
  open: "while open",
  failed: "after the failure",
};

/** Phase, reason, next step: what a failed dial says. The advice is left out where the reason contains it. */
export function failureMessage(phase: ConnectState, reason: string, advice: string): string {
  return `${PHASES[phase]}: ${reason}${reason.includes(advice) ? "" : `: ${advice}`}`;
}

/** `text` as the middle of a sentence. */
export function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** Why the peer's answer is a no, as code, reason and advice; undefined if it is none. */
export function refusalOf(payload: ReceivedNoisePayload): [ErrorCode, string, string] | undefined {
  if (payload.version !== HANDSHAKE_VERSION || payload.error === PayloadError.VersionMismatch) {
    return [
      "SERVER_INCOMPATIBLE",
      "the peer speaks another version of the protocol",
      "update the older side",
    ];
  }
  if (payload.error === PayloadError.TryLater) {
    return ["TRY_LATER", "the peer has too many connections under way", "try later"];
  }
  if (payload.error !== PayloadError.None) {
    return ["SERVER_ERROR", `the peer refuses with error ${payload.error}`, "ask whoever runs it"];
  }
  if (payload.udx === undefined) {
    return ["SERVER_ERROR", "the peer offers no stream", "ask whoever runs it"];
  }
  return undefined;
}

/**
 * Why a dial gives up the requests that it no longer needs. One error for all of them: each signal that makes one of its
 * own takes a trace of the stack, and keeps it for as long as the connection lives.
 */
export const DIAL_OVER: ConnectError = new ConnectError("ABORTED", "The dial needs no more answers");

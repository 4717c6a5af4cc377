/**
 * The life of a pipe with two directions, as a table: each side ends its own direction, then the pipe is closed.
 */

/** Which directions still carry data. */
export type PipeState = "open" | "localEnded" | "remoteEnded" | "closed";

/** What moves a {@linkcode PipeState}: an end of either side, or the violent end of both. */
export type PipeInput = "localEnd" | "remoteEnd" | "close";

const TABLE: Readonly<Record<PipeState, Readonly<Record<PipeInput, PipeState>>>> = {
  open: { localEnd: "localEnded", remoteEnd: "remoteEnded", close: "closed" },
  localEnded: { localEnd: "localEnded", remoteEnd: "closed", close: "closed" },
  remoteEnded: { localEnd: "closed", remoteEnd: "remoteEnded", close: "closed" },
  closed: { localEnd: "closed", remoteEnd: "closed", close: "closed" },
};

/** The state after `input`. Every input may be repeated: it then changes nothing. */
export function nextPipeState(state: PipeState, input: PipeInput): PipeState {
  return TABLE[state][input];
}

/** Whether this side may still send. */
export function isWritable(state: PipeState): boolean {
  return state === "open" || state === "remoteEnded";
}

/** Whether the other side may still send. */
export function isReadable(state: PipeState): boolean {
  return state === "open" || state === "localEnded";
}

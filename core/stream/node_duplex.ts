/**
 * Node streams, for users with Node code and for transports that are Node sockets: both directions of the adaptor.
 */
import { Buffer } from "node:buffer";
import { Duplex as NodeDuplex } from "node:stream";
import { Slab } from "../../encoding/bytes.ts";
import { assert } from "../runtime/assert.ts";
import { ConnectError, HyphaError, toError } from "../runtime/errors.ts";
import type { Connection } from "./connection.ts";
import type { Duplex, Sink } from "./duplex.ts";
import { isWritable, nextPipeState, type PipeState } from "./pipe_state.ts";

type Callback = (error?: Error | null) => void;

class NodeFace extends NodeDuplex {
  readonly #duplex: Duplex;
  #state: PipeState = "open";
  #paused = false;
  #writeDone: Callback | undefined;
  /** Waits for the pipe to be gone. */
  #destroyDone: (() => void) | undefined;
  #isGone = false;

  constructor(duplex: Duplex) {
    super({ allowHalfOpen: true, autoDestroy: true, emitClose: true });
    this.#duplex = duplex;
    duplex.attach({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#settleWrite(),
      onEnd: () => {
        this.#state = nextPipeState(this.#state, "remoteEnd");
        this.push(null);
      },
      onClose: (error) => this.#onClose(error),
    });
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#duplex.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: Callback): void {
    // Node lets the writer reuse its memory after the callback, so that the pipe gets a body of its own
    const body = this.#duplex.alloc(chunk.length);
    body.set(chunk);
    try {
      if (this.#duplex.write(body)) callback();
      else this.#writeDone = callback;
    } catch (error) {
      callback(toError(error));
    }
  }

  override _final(callback: Callback): void {
    this.#state = nextPipeState(this.#state, "localEnd");
    this.#duplex.end();
    callback();
  }

  // Node destroys a stream that has ended both ways; the last bytes may still be on their way down then.
  override _destroy(error: Error | null, callback: Callback): void {
    this.#destroyDone = () => callback(error);
    if (this.#isGone) this.#destroyDone();
    else if (error !== null || this.#state !== "closed") this.#duplex.destroy(error ?? undefined);
  }

  #onData(chunk: Uint8Array): void {
    if (this.push(Buffer.from(chunk)) || this.#paused) return;
    this.#paused = true;
    this.#duplex.pause();
  }

  #settleWrite(error?: Error): void {
    const done = this.#writeDone;
    this.#writeDone = undefined;
    done?.(error);
  }

  #onClose(error?: Error): void {
    this.#isGone = true;
    this.#settleWrite(error ?? new ConnectError("CONNECTION_CLOSED", "The connection is closed"));
    if (this.#destroyDone !== undefined) this.#destroyDone();
    else if (this.#state !== "closed") this.destroy(error);
  }
}

/**
 * A connection, or any pipe, as a Node stream: half-open until both sides end, with backpressure both ways. `end`,
 * `destroy`, `error` and `close` behave as in a `net.Socket` with `allowHalfOpen`.
 *
 * @throws {TypeError} if the connection is already used in another way.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { duplexPair } from "./duplex_pair.ts";
 * import { toNodeDuplex } from "./node_duplex.ts";
 *
 * const [near, far] = duplexPair();
 * const [a, b] = [toNodeDuplex(near), toNodeDuplex(far)];
 * a.end("hello");
 * b.end();
 * let text = "";
 * for await (const chunk of b) text += chunk;
 * assert(text === "hello");
 * ```
 */
export function toNodeDuplex(pipe: Connection | Duplex): NodeDuplex {
  return new NodeFace("attach" in pipe ? pipe : pipe.duplex);
}

/** What a `net.Socket` can do beyond other streams: hang up so that the other side sees an error, not an end. */
interface Resettable {
  resetAndDestroy(): unknown;
}

function isResettable(stream: NodeDuplex): stream is NodeDuplex & Resettable {
  return "resetAndDestroy" in stream;
}

const NOTHING = new Uint8Array(0);

/** What is known of system errors. */
const CODES: Readonly<Record<string, "CONNECTION_REFUSED" | "TIMEOUT">> = {
  ECONNREFUSED: "CONNECTION_REFUSED",
  ETIMEDOUT: "TIMEOUT",
};

class FromNode implements Duplex {
  readonly framing = "bytes";
  readonly #stream: NodeDuplex;
  readonly #slab = new Slab();
  #sink: Sink | undefined;
  #state: PipeState = "open";
  #failure: Error | undefined;
  #isGone = false;

  constructor(stream: NodeDuplex) {
    this.#stream = stream;
    stream.on("error", (error: Error) => this.#failure ??= asConnectError(error));
    stream.on("close", () => this.#onClose());
    if (stream.destroyed) this.#isGone = true;
  }

  attach(sink: Sink): void {
    assert(this.#sink === undefined, "a pipe has one sink");
    this.#sink = sink;
    if (this.#isGone) {
      sink.onClose(this.#failure ?? cutOff());
      return;
    }
    this.#stream.on("data", (chunk: Uint8Array) => {
      sink.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    this.#stream.on("drain", () => sink.onDrain());
    this.#stream.on("end", () => {
      this.#state = nextPipeState(this.#state, "remoteEnd");
      // Node takes a reset that comes together with data for an end; writing on a reset socket tells the truth.
      if (isWritable(this.#state) && isResettable(this.#stream)) this.#stream.write(NOTHING);
      sink.onEnd();
    });
  }

  alloc(size: number): Uint8Array {
    return this.#slab.alloc(size);
  }

  write(chunk: Uint8Array): boolean {
    return isWritable(this.#state) && this.#stream.writable ? this.#stream.write(chunk) : false;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    if (!isWritable(this.#state)) return;
    this.#state = nextPipeState(this.#state, "localEnd");
    this.#stream.end();
  }

  destroy(error?: Error): void {
    if (this.#isGone) return;
    const isInOrder = this.#state === "closed";
    if (!isInOrder) this.#failure ??= error;
    this.#state = "closed";
    // A socket that is merely closed looks to the other side as if this one had ended in order.
    if (!isInOrder && isResettable(this.#stream)) this.#stream.resetAndDestroy();
    else this.#stream.destroy();
  }

  #onClose(): void {
    this.#isGone = true;
    const inOrder = this.#state === "closed";
    this.#state = "closed";
    this.#sink?.onClose(this.#failure ?? (inOrder ? undefined : cutOff()));
  }
}

function cutOff(): ConnectError {
  return new ConnectError("CONNECTION_RESET", "The stream closed before both sides had ended");
}

function asConnectError(error: Error & { readonly code?: string }): Error {
  if (error instanceof HyphaError) return error;
  const code = CODES[error.code ?? ""] ?? "CONNECTION_RESET";
  return new ConnectError(code, `The stream failed: ${error.message}`, { cause: error });
}

/**
 * A Node stream of bytes, such as a `net.Socket`, as a pipe. The stream is handed over: nobody else may read, write or
 * destroy it, and the chunks that it emits are overwritten.
 *
 * A socket must have `allowHalfOpen` for this side to go on writing when the other has ended.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { PassThrough } from "node:stream";
 * import { fromNodeDuplex } from "./node_duplex.ts";
 *
 * const pipe = fromNodeDuplex(new PassThrough());
 * pipe.write(Uint8Array.of(1, 2, 3));
 * pipe.end();
 * ```
 */
export function fromNodeDuplex(stream: NodeDuplex): Duplex {
  return new FromNode(stream);
}

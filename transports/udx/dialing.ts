/**
 * The dialing side of the opening exchange.
 */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Runtime, Timer } from "../../core/runtime/runtime.ts";
import { equals } from "../../encoding/bytes.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import type { UdxEndpoint } from "./endpoint.ts";
import {
  COOKIE_BYTES,
  decodeOpening,
  encodeOpening,
  NONCE_BYTES,
  type Opening,
  OpeningKind,
} from "./opening.ts";
import type { UdxSocket } from "./udx_socket.ts";
import type { UdxStream } from "./udx_stream.ts";

/** The first question is repeated after this, in milliseconds, then after twice as long each time... */
const FIRST_RESEND_MS = 200;
/** ...up to this. */
const MAX_RESEND_MS = 1000;

/** What a {@linkcode Dialing} is told. */
export interface DialingOptions {
  /** How long the listener may stay silent, in milliseconds. */
  readonly timeoutMs: number;
  /** Called when no more answers matter, which may be after `opened`. */
  onDone(dialing: Dialing): void;
}

/** One attempt to open a stream to an address. */
export class Dialing {
  /** Settles with the connected stream. */
  readonly opened: Promise<UdxStream>;
  readonly #socket: UdxSocket;
  readonly #to: SocketAddress;
  readonly #stream: UdxStream;
  readonly #runtime: Runtime;
  readonly #giveUpAt: number;
  readonly #onDone: (dialing: Dialing) => void;
  readonly #timer: Timer;
  readonly #result = Promise.withResolvers<UdxStream>();
  #question: Opening;
  #resendMs = FIRST_RESEND_MS;
  #state: "asking" | "answered" | "done" = "asking";

  /** Begins to dial `to` from `socket`. */
  constructor(
    runtime: Runtime,
    endpoint: UdxEndpoint,
    socket: UdxSocket,
    to: SocketAddress,
    options: DialingOptions,
  ) {
    this.#runtime = runtime;
    this.#onDone = options.onDone;
    this.#socket = socket;
    this.#to = to;
    this.#stream = endpoint.createStream();
    this.#giveUpAt = runtime.clock.now() + options.timeoutMs;
    this.#question = {
      kind: OpeningKind.Open,
      dialerId: this.#stream.id,
      listenerId: 0,
      nonce: runtime.random.fill(new Uint8Array(NONCE_BYTES)),
      cookie: new Uint8Array(COOKIE_BYTES),
    };
    this.opened = this.#result.promise;
    this.#timer = runtime.clock.schedule(Infinity, () => this.#onTimer());
    this.#ask();
  }

  /** The id that answers carry. */
  get id(): number {
    return this.#stream.id;
  }

  /** Takes an answer that carries this attempt's id. */
  handleAnswer(datagram: Uint8Array, from: SocketAddress): void {
    const answer = decodeOpening(datagram);
    if (answer === undefined || this.#state !== "asking") return;
    if (!from.equals(this.#to) || !equals(answer.nonce, this.#question.nonce)) return;
    switch (answer.kind) {
      case OpeningKind.Challenge:
        if (equals(answer.cookie, this.#question.cookie)) return;
        this.#question = { ...this.#question, cookie: answer.cookie };
        this.#ask();
        break;
      case OpeningKind.Accept:
        this.#state = "answered";
        this.#stream.connect(this.#socket, answer.listenerId, this.#to);
        this.#result.resolve(this.#stream);
        this.#resendMs = FIRST_RESEND_MS;
        this.#greet();
        break;
      case OpeningKind.Refuse:
        this.fail(
          new ConnectError("CONNECTION_REFUSED", `udx:${this.#to} takes no more connections now: try later`),
        );
        break;
    }
  }

  /** Gives up, unless it is over already. */
  fail(error: unknown): void {
    if (this.#state === "done") return;
    const wasAsking = this.#state === "asking";
    this.#finish();
    if (!wasAsking) return;
    this.#stream.destroy();
    this.#result.reject(error);
  }

  #finish(): void {
    this.#state = "done";
    this.#timer.cancel();
    this.#onDone(this);
  }

  #ask(): void {
    this.#socket.send(encodeOpening(this.#question), this.#to);
    this.#arm();
  }

  /** The listener counts the stream as open once it has had a packet: one that never speaks first must send one too. */
  #greet(): void {
    if (this.#stream.isClosed || this.#stream.hasHeard) {
      this.#finish();
      return;
    }
    this.#stream.ping();
    this.#arm();
  }

  #arm(): void {
    const now = this.#runtime.clock.now();
    this.#timer.reset(Math.min(now + this.#resendMs, Math.max(this.#giveUpAt, now)));
    this.#resendMs = Math.min(this.#resendMs * 2, MAX_RESEND_MS);
  }

  #onTimer(): void {
    if (this.#runtime.clock.now() >= this.#giveUpAt) {
      this.fail(
        new ConnectError(
          "TIMEOUT",
          `udx:${this.#to} does not answer: check the address, and that UDP reaches it`,
        ),
      );
    } else if (this.#state === "asking") {
      this.#ask();
    } else {
      this.#greet();
    }
  }
}

/** What the UDX interop tests share: the reference and the bad path as child processes, and a reading end of our own. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import type { Sink } from "../../core/stream/duplex.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { NodeUdpNetwork } from "../../transports/udp/node.ts";
import { UdxEndpoint, type UdxStream } from "../../transports/udx/mod.ts";
import { pattern } from "./reference/pattern.mjs";

const folder = new URL("./reference/", import.meta.url);
const isInstalled = existsSync(new URL("node_modules/udx-native/package.json", folder));
/** Why interop tests cannot run here, if so. */
export const skip: string | undefined = isInstalled
  ? undefined
  : "the reference is not installed: deno task interop";

/** What a child answers; each operation fills some of it. */
export interface Answer {
  readonly failure?: string;
  readonly port: number;
  readonly leftPort: number;
  readonly rightPort: number;
  readonly received: number;
  readonly hash: string;
  readonly messages: readonly string[];
  readonly ended: boolean;
  readonly closed: boolean;
  readonly error: string | null;
  readonly flushed: boolean;
  readonly mtu: number;
  readonly retransmits: number;
  readonly rtoCount: number;
  readonly inflight: number;
  readonly packetsTransmitted: number;
  readonly packetsReceived: number;
  readonly firewalled: readonly string[];
  readonly lost: number;
  readonly late: number;
  readonly tooBig: number;
}

/** A Node process that answers JSON lines. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  readonly #isDone: Promise<void>;
  #nextId = 1;

  /** Starts `file` of the folder of reference peers. */
  constructor(file: string, args: readonly string[] = []) {
    this.#process = spawn("node", [fileURLToPath(new URL(file, folder)), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#isDone = this.#listen();
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      const { id, ...answer } = JSON.parse(line);
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    }
    for (const fail of this.#answers.values()) fail({ failure: "the child has ended" } as Answer);
    this.#answers.clear();
  }

  /** Has the child do something. */
  async ask(op: string, details: Record<string, unknown> = {}): Promise<Answer> {
    const result = await this.attempt(op, details);
    assert.equal(result.failure, undefined, `${op}: ${result.failure}`);
    return result;
  }

  /** Has the child do something that may fail. */
  attempt(op: string, details: Record<string, unknown> = {}): Promise<Answer> {
    const id = this.#nextId++;
    const answer = new Promise<Answer>((resolve) => this.#answers.set(id, resolve));
    this.#process.stdin!.write(`${JSON.stringify({ id, op, ...details })}\n`);
    return answer;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#process, "close");
    this.#process.stdin!.end();
    await closed;
    await this.#isDone;
  }
}

/** Collects what a stream of ours receives. */
export class Reader implements Sink {
  /** Bytes so far. */
  received = 0;
  /** Whether the peer has ended. */
  ended = false;
  /** Whether the stream is closed, and why. */
  closed: { readonly error: Error | undefined } | undefined;
  /** Unordered messages, as text. */
  readonly messages: string[] = [];
  readonly #hash = createHash("sha256");
  readonly #waiting = new Set<() => void>();
  #onDrain: (() => void) | undefined;

  /** The hash of the bytes so far. */
  get hash(): string {
    return this.#hash.copy().digest("hex");
  }

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.#hash.update(chunk);
    this.#look();
  }

  onDrain(): void {
    this.#onDrain?.();
  }

  onEnd(): void {
    this.ended = true;
    this.#look();
  }

  onUnordered(message: Uint8Array): void {
    this.messages.push(new TextDecoder().decode(message));
    this.#look();
  }

  onClose(error?: Error): void {
    this.closed = { error };
    this.#onDrain?.();
    this.#look();
  }

  /** Resolves when `condition` holds; it is looked at whenever something comes. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Resolves when the stream is closed. */
  async untilClosed(): Promise<Error | undefined> {
    await this.until(() => this.closed !== undefined);
    return this.closed!.error;
  }

  /** Writes `bytes` of the pattern of `seed` in pieces, as fast as `stream` takes them. */
  async write(stream: UdxStream, seed: number, bytes: number, pieceBytes = 65536): Promise<void> {
    for (const chunk of pattern(seed, bytes)) {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        if (this.closed !== undefined) return;
        if (stream.write(chunk.subarray(at, at + pieceBytes))) continue;
        await new Promise<void>((resolve) => this.#onDrain = resolve);
      }
    }
  }

  #look(): void {
    for (const check of this.#waiting) check();
  }
}

/** An endpoint of ours on the host's network. */
export function endpoint(): UdxEndpoint {
  return new UdxEndpoint({ clock: new SystemClock(), random: new SystemRandom() }, new NodeUdpNetwork());
}

/** A port of this host. */
export function local(port: number): SocketAddress {
  return SocketAddress.of("127.0.0.1", port);
}

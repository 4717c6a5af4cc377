/** The reference peer of `reference/secret_stream_peer.mjs` as a child process, without a pipe of ours. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PeerEvent, PeerSettings } from "./stream_peer.ts";

export { keyPair, pattern, runtime, skip } from "./stream_peer.ts";

/** See the head of the file. */
export class ReferenceProcess {
  readonly #process: ChildProcess;
  readonly #isDone: Promise<unknown>;
  readonly #events: PeerEvent[] = [];
  #wake: (() => void) | undefined;
  #exited = false;

  /** Starts a peer that listens, or dials `port`. */
  constructor(settings: PeerSettings & { readonly port?: number }) {
    const file = fileURLToPath(new URL("./reference/secret_stream_peer.mjs", import.meta.url));
    const text = JSON.stringify({ carrier: "tcp", ...settings });
    this.#process = spawn("node", [file, text], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdin!.on("error", () => {});
    const closed = once(this.#process, "close").then(() => {
      this.#exited = true;
      this.#wake?.();
    });
    this.#isDone = Promise.all([closed, this.#listen()]);
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      this.#events.push(JSON.parse(line));
      this.#wake?.();
    }
  }

  /** Has the peer do something. */
  tell(command: string, details: Record<string, unknown> = {}): void {
    this.#process.stdin!.write(`${JSON.stringify({ command, ...details })}\n`);
  }

  /** The next event called `name`; others before it stay for later. */
  async next(name: string): Promise<PeerEvent> {
    while (true) {
      const index = this.#events.findIndex(({ event }) => event === name);
      if (index >= 0) return this.#events.splice(index, 1)[0]!;
      assert.ok(!this.#exited, `the peer exited before ${name}; it said ${JSON.stringify(this.#events)}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends the process at once. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Ends the process in order. */
  async close(): Promise<void> {
    this.#process.stdin!.end();
    await this.#isDone;
  }
}

/**
 * Noise with a live reference peer:
 *
 *     NoiseHandshake  <-- JSON lines -->  noise-handshake in Node
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { randomKeyPair } from "../../core/crypto/keys.ts";
import { NoiseHandshake, type NoisePattern } from "../../core/crypto/noise.ts";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";

interface Answer {
  readonly publicKey?: string;
  readonly message?: string;
  readonly payload?: string;
  readonly error?: string;
  readonly session?: {
    readonly hash: string;
    readonly tx: string;
    readonly rx: string;
    readonly remotePublicKey: string;
  };
}

const peerFile = new URL("./reference/noise_peer.mjs", import.meta.url);
const installed = existsSync(new URL("./node_modules/noise-handshake/package.json", peerFile));
const skip = installed ? undefined : "the reference is not installed: deno task interop";

/** The reference in its own process, asked one thing at a time. */
class ReferencePeer {
  readonly #child: ChildProcess = spawn("node", [fileURLToPath(peerFile)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  readonly #lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();

  async ask(question: unknown): Promise<Answer> {
    this.#child.stdin!.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.#lines.next();
    assert(done !== true, "the reference peer ended");
    return JSON.parse(value);
  }

  async close(): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.stdin!.end();
    await closed;
  }
}

async function handshake(
  peer: ReferencePeer,
  pattern: NoisePattern,
  initiator: boolean,
  size: number,
): Promise<void> {
  const crypto = await loadCryptoProvider();
  const random = new SeededRandom(`${pattern} ${initiator} ${size}`);
  const draw = () => random.fill(new Uint8Array(size));
  const staticKeyPair = randomKeyPair(crypto, random);
  const prologue = draw();
  const start = {
    pattern,
    initiator: !initiator,
    prologue: toHex(prologue),
    remotePublicKey: pattern === "IK" && !initiator ? toHex(staticKeyPair.publicKey) : undefined,
  };
  const remotePublicKey = fromHex((await peer.ask({ start })).publicKey!);
  const noise = new NoiseHandshake(crypto, {
    pattern,
    initiator,
    staticKeyPair,
    prologue,
    random,
    remotePublicKey: pattern === "IK" && initiator ? remotePublicKey : undefined,
  });
  let last: Answer = {};
  while (!noise.complete || last.session === undefined) {
    const payload = draw();
    if (noise.sending) {
      last = await peer.ask({ recv: toHex(noise.send(payload)) });
      assert.equal(last.payload, toHex(payload), last.error);
    } else {
      last = await peer.ask({ send: toHex(payload) });
      assert.deepEqual(noise.recv(fromHex(last.message!)), payload);
    }
  }
  assert.deepEqual(last.session, {
    hash: toHex(noise.session!.hash),
    tx: toHex(noise.session!.rx),
    rx: toHex(noise.session!.tx),
    remotePublicKey: toHex(staticKeyPair.publicKey),
  });
  assert.deepEqual(noise.session!.remotePublicKey, remotePublicKey);
}

test("Noise IK and XX with the reference, in both roles and with payloads of many sizes", async () => {
  const peer = new ReferencePeer();
  try {
    for (const pattern of ["IK", "XX"] as const) {
      for (const initiator of [true, false]) {
        for (const size of [0, 1, 100, 5000]) await handshake(peer, pattern, initiator, size);
      }
    }
  } finally {
    await peer.close();
  }
}, { skip });

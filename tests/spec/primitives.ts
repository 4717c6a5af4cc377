/**
 * Sections 1.2 and 1.3 of `docs/spec/secret-stream.md`, written from the page and from RFC 8439 alone, as somebody would do in
 * another language: nothing of `core/` but BLAKE2b and the multiplication of points.
 */
import { concat } from "../../encoding/bytes.ts";
import { utf8, wasm } from "../crypto/support.ts";

const little = (value: bigint, length: number) =>
  Uint8Array.from({ length }, (_, i) => Number(value >> BigInt(8 * i) & 255n));
const number = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
const zeros = (length: number) => new Uint8Array(length);
const xor = (a: Uint8Array, b: Uint8Array) => a.map((byte, i) => byte ^ b[i]!);

// --- ChaCha20 and Poly1305, RFC 8439

const QUARTERS = [
  ...[[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]],
  ...[[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]],
] as const;

/** The state after 20 rounds, and the state before. */
function rounds(key: Uint8Array, input: Uint8Array): { words: Uint32Array; before: Uint32Array } {
  const start = concat([utf8("expand 32-byte k"), key, input]);
  const before = new Uint32Array(16).map((_, i) => Number(number(start.subarray(4 * i, 4 * i + 4))));
  const words = before.slice();
  const step = (target: number, other: number, mixed: number, bits: number) => {
    words[target]! += words[other]!;
    const value = words[mixed]! ^ words[target]!;
    words[mixed] = value << bits | value >>> (32 - bits);
  };
  for (let i = 0; i < 10; i++) {
    for (const [a, b, c, d] of QUARTERS) {
      step(a, b, d, 16);
      step(c, d, b, 12);
      step(a, b, d, 8);
      step(c, d, b, 7);
    }
  }
  return { words, before };
}

const join = (words: Uint32Array) => concat([...words].map((word) => little(BigInt(word), 4)));

function block(key: Uint8Array, counter: number, nonce: Uint8Array): Uint8Array {
  const { words, before } = rounds(key, concat([little(BigInt(counter), 4), nonce]));
  return join(words.map((word, i) => word + before[i]!));
}

/** `text` combined with the blocks from `counter` on. */
function chacha20(key: Uint8Array, counter: number, nonce: Uint8Array, text: Uint8Array): Uint8Array {
  const count = Math.ceil(text.length / 64);
  return xor(text, concat(Array.from({ length: count }, (_, i) => block(key, counter + i, nonce))));
}

function poly1305(key: Uint8Array, text: Uint8Array): Uint8Array {
  const r = number(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < text.length; at += 16) {
    sum = (sum + number(concat([text.subarray(at, at + 16), Uint8Array.of(1)]))) * r % (2n ** 130n - 5n);
  }
  return little(sum + number(key.subarray(16, 32)), 16);
}

const padding = (length: number) => zeros((16 - length % 16) % 16);

function seal(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, text: Uint8Array): Uint8Array {
  const sealed = chacha20(key, 1, nonce, text);
  const lengths = [little(BigInt(data.length), 8), little(BigInt(sealed.length), 8)];
  const mac = [data, padding(data.length), sealed, padding(sealed.length), ...lengths];
  return concat([sealed, poly1305(block(key, 0, nonce), concat(mac))]);
}

// --- 1.3

/** The sealing side of a secretstream. */
export class TextSecretstream {
  readonly #key: Uint8Array;
  #inonce: Uint8Array;
  #counter = 1n;

  constructor(key: Uint8Array, header: Uint8Array) {
    const { words } = rounds(key, header.subarray(0, 16));
    const bytes = join(words);
    this.#key = concat([bytes.subarray(0, 16), bytes.subarray(48)]);
    this.#inonce = header.slice(16);
  }

  seal(message: Uint8Array): Uint8Array {
    const nonce = concat([little(this.#counter, 4), this.#inonce]);
    const macKey = block(this.#key, 0, nonce);
    const b = chacha20(this.#key, 1, nonce, zeros(64));
    const c = chacha20(this.#key, 2, nonce, message);
    const lengths = [zeros(8), little(64n + BigInt(message.length), 8)];
    const mac = poly1305(macKey, concat([b, c, zeros(message.length % 16), ...lengths]));
    this.#inonce = xor(this.#inonce, mac.subarray(0, 8));
    this.#counter++;
    return concat([b.subarray(0, 1), c, mac]);
  }
}

// --- 1.2

function hash(...parts: Uint8Array[]): Uint8Array {
  const out = zeros(64);
  wasm.hash(out, parts);
  return out;
}

function hmac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  const padded = concat([key, zeros(128 - key.length)]);
  return hash(padded.map((byte) => byte ^ 0x5c), hash(padded.map((byte) => byte ^ 0x36), ...parts));
}

/** One side of a handshake, and what it is made of. */
export interface TextSide {
  readonly isInitiator: boolean;
  readonly e: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  readonly s: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
}

const MESSAGES = [["e", "es", "s", "ss"], ["e", "ee", "se"]] as const;

/** Both messages of a handshake IK, and what comes of it. */
export function textHandshake(
  [initiator, responder]: readonly [TextSide, TextSide],
  prologue: Uint8Array,
  payloads: readonly [Uint8Array, Uint8Array],
): { messages: Uint8Array[]; hash: Uint8Array; keys: [Uint8Array, Uint8Array] } {
  const name = utf8("Noise_IK_Ed25519_ChaChaPoly_BLAKE2b");
  let h = concat([name, zeros(64 - name.length)]);
  let ck = h;
  let k: Uint8Array | undefined;
  let n = 0n;
  const mixHash = (a: Uint8Array) => h = hash(h, a);
  const mixKey = (a: Uint8Array) => {
    const t = hmac(ck, a);
    ck = hmac(t, Uint8Array.of(1));
    k = hmac(t, ck, Uint8Array.of(2)).subarray(0, 32);
    n = 0n;
  };
  const encryptAndHash = (p: Uint8Array) => {
    const c = k === undefined ? p : seal(k, concat([zeros(4), little(n++, 4), zeros(4)]), h, p);
    mixHash(c);
    return c;
  };
  const dh = (token: string) =>
    wasm.dh(initiator[token[0] as "e" | "s"].secretKey, responder[token[1] as "e" | "s"].publicKey)!;
  mixHash(prologue);
  mixHash(responder.s.publicKey);
  const messages = MESSAGES.map((tokens, i) => {
    const writer = i === 0 ? initiator : responder;
    const parts = tokens.map((token) => {
      if (token === "e") mixHash(writer.e.publicKey);
      else if (token !== "s") mixKey(dh(token));
      return token === "e"
        ? writer.e.publicKey
        : token === "s"
        ? encryptAndHash(writer.s.publicKey)
        : zeros(0);
    });
    return concat([...parts, encryptAndHash(payloads[i]!)]);
  });
  const t = hmac(ck);
  const first = hmac(t, Uint8Array.of(1));
  const second = hmac(t, first, Uint8Array.of(2));
  return { messages, hash: h, keys: [first.subarray(0, 32), second.subarray(0, 32)] };
}

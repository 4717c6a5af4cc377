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

function tagOf(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, sealed: Uint8Array): Uint8Array {
  const lengths = [little(BigInt(data.length), 8), little(BigInt(sealed.length), 8)];
  const mac = [data, padding(data.length), sealed, padding(sealed.length), ...lengths];
  return poly1305(block(key, 0, nonce), concat(mac));
}

function seal(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, text: Uint8Array): Uint8Array {
  const sealed = chacha20(key, 1, nonce, text);
  return concat([sealed, tagOf(key, nonce, data, sealed)]);
}

/** The reverse of {@linkcode seal}. @throws {Error} for a forgery. */
function open(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, box: Uint8Array): Uint8Array {
  const sealed = box.subarray(0, box.length - 16);
  requireEqual(box.subarray(box.length - 16), tagOf(key, nonce, data, sealed));
  return chacha20(key, 1, nonce, sealed);
}

function requireEqual(a: Uint8Array, b: Uint8Array): void {
  if (a.length !== b.length || a.some((byte, i) => byte !== b[i])) throw new Error("forged");
}

// --- 1.3

/** One direction of a secretstream: use it to seal or to open, not for both. */
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
    const b = chacha20(this.#key, 1, this.#nonce, zeros(64));
    const c = chacha20(this.#key, 2, this.#nonce, message);
    return concat([b.subarray(0, 1), c, this.#authenticate(b, c)]);
  }

  /** The reverse of `seal`. @throws {Error} for a forgery. */
  open(sealed: Uint8Array): Uint8Array {
    const nonce = this.#nonce;
    const c = sealed.subarray(1, sealed.length - 16);
    const b = chacha20(this.#key, 1, nonce, zeros(64));
    b[0] = sealed[0]!;
    requireEqual(sealed.subarray(sealed.length - 16), this.#authenticate(b, c));
    return chacha20(this.#key, 2, nonce, c);
  }

  get #nonce(): Uint8Array {
    return concat([little(this.#counter, 4), this.#inonce]);
  }

  /** The authenticator; moves on to the next message. */
  #authenticate(b: Uint8Array, c: Uint8Array): Uint8Array {
    const lengths = [zeros(8), little(64n + BigInt(c.length), 8)];
    const macKey = block(this.#key, 0, this.#nonce);
    const mac = poly1305(macKey, concat([b, c, zeros(c.length % 16), ...lengths]));
    this.#inonce = xor(this.#inonce, mac.subarray(0, 8));
    this.#counter++;
    return mac;
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

/** A key pair. */
export interface TextKeys {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

const MESSAGES = [["e", "es", "s", "ss"], ["e", "ee", "se"]] as const;

/** One side of a handshake IK. */
export class TextHandshake {
  readonly #isInitiator: boolean;
  readonly #own: Readonly<Record<"e" | "s", TextKeys>>;
  readonly #remote: { e?: Uint8Array; s?: Uint8Array | undefined };
  #h: Uint8Array;
  #ck: Uint8Array;
  #k: Uint8Array | undefined;
  #n = 0n;
  #next = 0;

  /** With `remoteStatic` the initiator, without it the responder. */
  constructor(prologue: Uint8Array, own: Readonly<Record<"e" | "s", TextKeys>>, remoteStatic?: Uint8Array) {
    const name = utf8("Noise_IK_Ed25519_ChaChaPoly_BLAKE2b");
    this.#isInitiator = remoteStatic !== undefined;
    this.#own = own;
    this.#remote = { s: remoteStatic };
    this.#h = this.#ck = concat([name, zeros(64 - name.length)]);
    this.#mixHash(prologue);
    this.#mixHash(remoteStatic ?? own.s.publicKey);
  }

  /** The handshake hash, once it is complete. */
  get hash(): Uint8Array {
    return this.#h;
  }

  /** The next message. */
  write(payload: Uint8Array): Uint8Array {
    const parts = MESSAGES[this.#next++]!.map((token) => {
      if (token === "e") this.#mixHash(this.#own.e.publicKey);
      else if (token !== "s") this.#mixKey(this.#dh(token));
      if (token === "s") return this.#encryptAndHash(this.#own.s.publicKey);
      return token === "e" ? this.#own.e.publicKey : zeros(0);
    });
    return concat([...parts, this.#encryptAndHash(payload)]);
  }

  /** The payload of the other side's next message. */
  read(message: Uint8Array): Uint8Array {
    let rest = message;
    const take = (length: number) => {
      const head = rest.subarray(0, length);
      rest = rest.subarray(length);
      return head;
    };
    for (const token of MESSAGES[this.#next++]!) {
      if (token === "e") this.#mixHash(this.#remote.e = take(32));
      else if (token === "s") this.#remote.s = this.#decryptAndHash(take(48));
      else this.#mixKey(this.#dh(token));
    }
    return this.#decryptAndHash(rest);
  }

  /** The keys that the initiator and the responder send with. */
  split(): [Uint8Array, Uint8Array] {
    const t = hmac(this.#ck);
    const first = hmac(t, Uint8Array.of(1));
    return [first.subarray(0, 32), hmac(t, first, Uint8Array.of(2)).subarray(0, 32)];
  }

  #dh(token: string): Uint8Array {
    const [own, remote] = (this.#isInitiator ? token : token[1]! + token[0]!) as "es" | "se";
    return wasm.dh(this.#own[own as "e" | "s"].secretKey, this.#remote[remote as "e" | "s"]!)!;
  }

  #mixHash(a: Uint8Array): void {
    this.#h = hash(this.#h, a);
  }

  #mixKey(a: Uint8Array): void {
    const t = hmac(this.#ck, a);
    this.#ck = hmac(t, Uint8Array.of(1));
    this.#k = hmac(t, this.#ck, Uint8Array.of(2)).subarray(0, 32);
    this.#n = 0n;
  }

  #nonce(): Uint8Array {
    return concat([zeros(4), little(this.#n++, 4), zeros(4)]);
  }

  #encryptAndHash(p: Uint8Array): Uint8Array {
    const c = this.#k === undefined ? p : seal(this.#k, this.#nonce(), this.#h, p);
    this.#mixHash(c);
    return c;
  }

  #decryptAndHash(c: Uint8Array): Uint8Array {
    const p = this.#k === undefined ? c : open(this.#k, this.#nonce(), this.#h, c);
    this.#mixHash(c);
    return p;
  }
}

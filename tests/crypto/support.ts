/** What the tests of the cryptography share: both providers, recorded vectors, and bytes that look like data. */
import { readFileSync } from "node:fs";
import { createNativeProvider } from "../../core/crypto/provider_host.ts";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import type { Cipher, CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import { fromHex as unhex, toHex as hex } from "../../encoding/text.ts";
import { test } from "../harness.ts";

export { hex, unhex };

/** The provider that is always there. */
export const wasm: CryptoProvider = await createWasmProvider();
/** The other one, where this machine has it. */
export const native: CryptoProvider | undefined = await createNativeProvider();

/** Registers a test for each provider: both must give the same answers. */
export function testEach(name: string, body: (crypto: CryptoProvider) => void | Promise<void>): void {
  test(`${wasm.name}: ${name}`, () => body(wasm));
  if (native === undefined) test(`sodium-native: ${name}`, () => {}, { skip: "not installed" });
  else test(`${native.name}: ${name}`, () => body(native));
}

/** A file of `tests/vectors/`. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), "utf8"));
}

/** UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** 32 bytes that all equal `n`. */
export function seed(n: number): Uint8Array {
  return new Uint8Array(32).fill(n);
}

/** The bytes that the recording scripts make under the same name. */
export function pattern(length: number, n: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255);
}

/** How the recording scripts write results: long ones as a hash. */
export function result(crypto: CryptoProvider, bytes: Uint8Array): string {
  if (bytes.length <= 200) return hex(bytes);
  const digest = new Uint8Array(32);
  crypto.hash(digest, [bytes]);
  return `blake2b:${hex(digest)}`;
}

/** `tests/vectors/crypto.json`. */
export interface CryptoVectors {
  readonly namespaces: readonly {
    readonly name: string;
    readonly ids: readonly number[];
    readonly values: readonly string[];
  }[];
  readonly keyPairs: readonly {
    readonly seed: string;
    readonly publicKey: string;
    readonly secretKey: string;
  }[];
  readonly hashes: readonly { readonly length: number; readonly keyLength: number; readonly out: string }[];
  readonly tree: {
    readonly leaves: readonly { readonly length: number; readonly hash: string }[];
    readonly parents: readonly { readonly nodes: readonly [VectorNode, VectorNode]; readonly hash: string }[];
    readonly roots: readonly { readonly roots: readonly VectorNode[]; readonly hash: string }[];
    readonly discoveryKeys: readonly { readonly publicKey: string; readonly key: string }[];
  };
  readonly seals: readonly {
    readonly cipher: Cipher;
    readonly length: number;
    readonly adLength: number;
    readonly out: string;
  }[];
  readonly xors: readonly { readonly length: number; readonly out: string }[];
  readonly secretStream: {
    readonly key: string;
    readonly header: string;
    readonly hello: readonly string[];
    readonly messages: readonly { readonly length: number; readonly out: string }[];
    readonly tagged: readonly { readonly tag: number; readonly out: string }[];
  };
  readonly signatures: readonly { readonly length: number; readonly signature: string }[];
  readonly exchanges: readonly {
    readonly what: string;
    readonly point: string;
    readonly shared: string | null;
  }[];
  readonly verdicts: readonly {
    readonly what: string;
    readonly publicKey: string;
    readonly message: string;
    readonly signature: string;
    readonly valid: boolean;
  }[];
  readonly handshakeHash: string;
  readonly unordered: readonly {
    readonly isInitiator: boolean;
    readonly start: string;
    readonly id: string;
    readonly sealed: readonly { readonly length: number; readonly out: string }[];
  }[];
}

/** A node of a tree, whose hash is `pattern(32, n)`. */
export interface VectorNode {
  readonly index: number;
  readonly size: number;
  readonly n: number;
}

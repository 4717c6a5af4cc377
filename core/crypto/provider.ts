/**
 * The choice of a {@linkcode CryptoProvider}: native code where the host already allows it, WebAssembly everywhere else.
 */
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { createNativeProvider } from "./provider_host.ts";
import { createWasmProvider } from "./provider_js.ts";

/** Options of {@linkcode loadCryptoProvider}. */
export interface CryptoProviderOptions {
  /** `native` (the default) takes native code if there is any; `wasm` does not look for it. */
  readonly prefer?: "native" | "wasm";
}

// Each provider is loaded at most once. The promises are constants that are computed on first use, not state: a provider
// keeps nothing between two calls that a caller could see.
const nativeProvider = once(createNativeProvider);
const wasmProvider = once(createWasmProvider);

/**
 * The best provider that this host allows. Asks for no permission: on Deno native code is taken if the program runs with
 * `--allow-ffi` and `--allow-read`, on Node if `sodium-native` is installed. Repeated calls return the same provider.
 *
 * @throws {Error} if the runtime has neither native code nor WebAssembly.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "./provider.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const digest = new Uint8Array(32);
 * crypto.hash(digest, [new TextEncoder().encode("hello")]);
 * if (digest[0] !== 0x32) throw new Error("never happens");
 * ```
 */
export async function loadCryptoProvider(options: CryptoProviderOptions = {}): Promise<CryptoProvider> {
  const native = options.prefer === "wasm" ? undefined : await nativeProvider();
  return native ?? await wasmProvider();
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => loaded ??= load();
}

/**
 * The real world, as a {@linkcode Runtime}.
 */
import { type CryptoProviderOptions, loadCryptoProvider } from "./crypto/provider.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { SystemClock, SystemRandom } from "./runtime/system.ts";

/**
 * The host's clock, its secure randomness, and the best cryptography that it allows. Asks for no permission.
 *
 * @example
 * ```ts
 * import { loadSystemRuntime } from "./system_runtime.ts";
 *
 * const runtime = await loadSystemRuntime();
 * const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
 * console.assert(keyPair.publicKey.length === 32);
 * ```
 */
export async function loadSystemRuntime(options: CryptoProviderOptions = {}): Promise<Runtime> {
  const crypto = await loadCryptoProvider(options);
  return { clock: new SystemClock(), random: new SystemRandom(), crypto };
}

/** From what an application says to a log that is open. */
import { equals } from "../encoding/bytes.ts";
import type { HypercoreOptions, LogOptions } from "./hypercore_options.ts";
import { defaultManifest, type Manifest, manifestKey } from "./log/manifest.ts";
import { randomKeyPair, requireKeyPair } from "./crypto/keys.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { SharedLog, type SharedLogOptions } from "./shared_log.ts";
import type { Store } from "./storage/storage.ts";
import { loadSystemRuntime } from "./system_runtime.ts";

/** Which log it is, and who writes it. */
export interface LogIdentity {
  /** Its key. */
  readonly key: Uint8Array;
  /** What it is, if that is known. */
  readonly manifest: Manifest | undefined;
  /** Who writes it, if that is somebody here. */
  readonly keyPair: KeyPair | undefined;
}

/** What an application may say about which log it means. */
export interface IdentityOptions extends Pick<HypercoreOptions, "manifest" | "compat" | "keyPair"> {
  /** Its key. */
  readonly key?: Uint8Array | undefined;
}

/**
 * Which log is meant: that of the key, else that of the manifest, else that which the key pair writes.
 *
 * @returns undefined if nothing was said.
 */
export function identityOf({ crypto }: Runtime, options: IdentityOptions): LogIdentity | undefined {
  const { key, keyPair, compat = false } = options;
  if (keyPair !== undefined) requireKeyPair("keyPair", keyPair);
  const manifest = options.manifest ??
    (keyPair && (key === undefined || !compat) ? defaultManifest(keyPair.publicKey) : undefined);
  if (key !== undefined) {
    const isOwn = manifest !== undefined &&
      (options.manifest !== undefined || equals(key, manifestKey(crypto, manifest)));
    return { key, manifest: isOwn ? manifest : undefined, keyPair };
  }
  if (manifest === undefined) return undefined;
  if (!compat) return { key: manifestKey(crypto, manifest), manifest, keyPair };
  if (manifest.signers.length !== 1) {
    throw new TypeError("A compat log has one signer, whose public key is its key");
  }
  return { key: manifest.signers[0]!.publicKey, manifest, keyPair };
}

/** What the first who opens a log says for all. */
export function sharedOptions(options: LogOptions): Omit<SharedLogOptions, "key"> {
  const { legacy: isLegacy, notDownloadingLingerMs: linger, createIfMissing, userData } = options;
  const { allowFork, allowPush, eagerUpgrade, allowLatestBlock, inflightRange } = options;
  const lingerMs = linger === undefined ? undefined : [linger, linger] as const;
  return {
    ...{ isLegacy, userData, createIfMissing, lingerMs },
    ...{ allowFork, allowPush, eagerUpgrade, allowLatestBlock, inflightRange },
  };
}

/** Opens a log of a store. Without anything said about which, it is new, and its key pair is stored at once. */
export async function openSharedLog(
  store: Store,
  options: LogOptions & { readonly key?: Uint8Array | undefined },
  onIdle?: () => void,
): Promise<SharedLog> {
  const runtime = options.runtime ?? await loadSystemRuntime();
  const told = identityOf(runtime, options);
  const identity = told ??
    identityOf(runtime, {
      ...options,
      keyPair: randomKeyPair(runtime.crypto, runtime.random.fork("key pair")),
    })!;
  const log = await SharedLog.open(runtime, store, { ...sharedOptions(options), ...identity, onIdle });
  if (told === undefined) await log.state.store();
  return log;
}

/**
 * What a log is by its key: who may sign it, how many of them are needed, and what it begins with. The key is a hash of
 * that, or, for the logs of hypercore 10 and before, the public key of the only signer.
 */
import { array } from "../../encoding/lists.ts";
import { buffer, fixed32 } from "../../encoding/buffers.ts";
import { equals } from "../../encoding/bytes.ts";
import { type Codec, type Cursor, DecodeError, encode } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { blake2b, HASH_BYTES } from "../crypto/hash.ts";
import { PUBLIC_KEY_BYTES, requireSize } from "../crypto/sizes.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { MAX_LINKED, MAX_SIGNERS } from "./constants.ts";
import { LOG_NAMESPACES } from "./namespaces.ts";
import { isLogLength } from "./flat_tree.ts";

/** Somebody who may sign a log. Signatures are Ed25519. */
export interface Signer {
  /** 32 bytes that keep logs with the same signer apart. */
  readonly namespace: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** What a log begins with, whoever signs it. */
export interface Prologue {
  /** The tree hash of its first blocks, 32 bytes. */
  readonly hash: Uint8Array;
  /** How many blocks these are. */
  readonly length: number;
}

/** What a log is. */
export interface Manifest {
  /** 0 to 3: what a signature covers, and what else a manifest can say. */
  readonly version: number;
  /** Whether a signer may have signed more blocks than are signed together. */
  readonly allowPatch: boolean;
  /** How many signers are needed. */
  readonly quorum: number;
  /** Those who may sign, of whom signatures speak by their place here. At most 1024. */
  readonly signers: readonly Signer[];
  /** What the log begins with. */
  readonly prologue?: Prologue | undefined;
  /** Keys of logs that belong to it, 32 bytes each; from version 2. At most 4096. */
  readonly linked?: readonly Uint8Array[] | undefined;
  /** Whatever its author wants to say; from version 2. */
  readonly userData?: Uint8Array | undefined;
}

/** What {@linkcode createManifest} is told. */
export interface ManifestOptions {
  /** By default the least that can say the rest, but not 0. */
  readonly version?: number | undefined;
  /** By default false. */
  readonly allowPatch?: boolean | undefined;
  /** By default more than half of the signers. */
  readonly quorum?: number | undefined;
  /** A namespace is by default that of the protocol. By default nobody: then the log is its prologue and ends with it. */
  readonly signers?: readonly {
    readonly namespace?: Uint8Array | undefined;
    readonly publicKey: Uint8Array;
  }[];
  /** See {@linkcode Manifest}. */
  readonly prologue?: Prologue | undefined;
  /** See {@linkcode Manifest}; none is the same as not given. */
  readonly linked?: readonly Uint8Array[] | undefined;
  /** See {@linkcode Manifest}. */
  readonly userData?: Uint8Array | undefined;
}

/**
 * A manifest with its defaults filled in.
 *
 * @throws {RangeError} for what no manifest, or none of this version, can say.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "../crypto/provider.ts";
 * import { createManifest, manifestKey } from "./manifest.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const signers = [1, 2, 3].map((n) => crypto.keyPair(new Uint8Array(32).fill(n)));
 * const manifest = createManifest({ signers });
 * if (manifest.quorum !== 2) throw new Error("never happens");
 * const key = manifestKey(crypto, manifest);
 * if (key.length !== 32) throw new Error("never happens");
 * ```
 */
export function createManifest(options: ManifestOptions): Manifest {
  const { allowPatch = false, prologue, userData } = options;
  const linked = options.linked?.length ? options.linked : undefined;
  const version = options.version ?? (linked || userData ? 2 : 1);
  const signers = (options.signers ?? []).map(
    ({ namespace = LOG_NAMESPACES.defaultNamespace, publicKey }) => {
      requireSize("publicKey of a signer", publicKey, PUBLIC_KEY_BYTES);
      requireSize("namespace of a signer", namespace, 32);
      return { namespace, publicKey };
    },
  );
  const quorum = options.quorum ?? (signers.length === 0 ? 0 : Math.floor(signers.length / 2) + 1);
  const requireThat = (holds: boolean, what: string) => {
    if (!holds) throw new RangeError(`a manifest ${what}`);
  };
  requireThat([0, 1, 2, 3].includes(version), `has a version from 0 to 3, not ${version}`);
  requireThat(signers.length <= MAX_SIGNERS, `has at most ${MAX_SIGNERS} signers`);
  requireThat(
    Number.isInteger(quorum) && quorum >= 0 && quorum <= signers.length,
    `needs a quorum from 0 to its ${signers.length} signers, not ${quorum}`,
  );
  requireThat(
    version >= 2 || (linked === undefined && userData === undefined),
    "has links and user data from version 2",
  );
  requireThat((linked?.length ?? 0) <= MAX_LINKED, `links to at most ${MAX_LINKED} keys`);
  for (const key of linked ?? []) requireSize("linked key", key, PUBLIC_KEY_BYTES);
  if (prologue !== undefined) {
    requireSize("hash of a prologue", prologue.hash, HASH_BYTES);
    requireThat(isLogLength(prologue.length), `has a prologue of a length, not of ${prologue.length}`);
    requireThat(
      version >= 1 || (signers.length === 0 && prologue.length === 0),
      "of version 0 has a prologue only without signers, and does not tell its length",
    );
  }
  return { version, allowPatch, quorum, signers, prologue, linked, userData };
}

/** The manifest of a log that one key pair signs, as hypercore 11 makes it if it is told no more. */
export function defaultManifest(publicKey: Uint8Array): Manifest {
  return createManifest({ signers: [{ publicKey }] });
}

/** The key of the log that is this manifest: the hash of the namespace of manifests and its bytes. */
export function manifestKey(crypto: CryptoProvider, of: Manifest): Uint8Array {
  return blake2b(crypto, [LOG_NAMESPACES.manifest, encode(manifest, of)]);
}

/** Whether `key` is that of a log of hypercore 10 and before: the public key of the only signer itself. */
export function isCompatKey(key: Uint8Array, of: Manifest): boolean {
  return of.signers.length === 1 && equals(key, of.signers[0]!.publicKey);
}

/** Whether `key` is the key of the log with this manifest, in either way. */
export function isKeyOf(crypto: CryptoProvider, key: Uint8Array, of: Manifest): boolean {
  return isCompatKey(key, of) || equals(key, manifestKey(crypto, of));
}

// --- On the wire and on disk

const ALLOW_PATCH = 1;
const HAS_PROLOGUE = 2;
const HAS_LINKED = 4;
const HAS_USER_DATA = 8;

/** Kinds of version 0: without signer, with one, with many. */
const [STATIC, SINGLE, MULTIPLE] = [0, 1, 2];

/** A number that stands for the only algorithm that there is. */
const algorithm: Codec<void> = {
  size: () => 1,
  encode: (cursor: Cursor): void => uint.encode(cursor, 0),
  decode(cursor: Cursor): void {
    const at = cursor.start;
    const id = uint.decode(cursor);
    if (id !== 0) throw new DecodeError(`Expected the algorithm 0, found ${id}`, at);
  },
};

const signer: Codec<Signer> = {
  size: () => 65,
  encode(cursor: Cursor, { namespace, publicKey }: Signer): void {
    algorithm.encode(cursor);
    fixed32.encode(cursor, namespace);
    fixed32.encode(cursor, publicKey);
  },
  decode(cursor: Cursor): Signer {
    algorithm.decode(cursor);
    return { namespace: fixed32.decode(cursor), publicKey: fixed32.decode(cursor) };
  },
};

const signerList = bounded(array(signer), MAX_SIGNERS, "signers");
const keyList = bounded(array(fixed32), MAX_LINKED, "linked keys");

/** `codec`, with fewer elements than any array may have. */
export function bounded<T>(codec: Codec<T[], readonly T[]>, max: number, what: string): Codec<readonly T[]> {
  return {
    size: codec.size,
    encode: codec.encode,
    decode(cursor: Cursor): readonly T[] {
      const { start } = cursor;
      const count = uint.decode(cursor);
      if (count > max) throw new DecodeError(`Expected at most ${max} ${what}, found ${count}`, start);
      cursor.start = start;
      return codec.decode(cursor);
    },
  };
}

const kindOf = ({ signers, quorum, allowPatch, prologue }: Manifest) =>
  signers.length === 0 && prologue !== undefined
    ? STATIC
    : signers.length === 1 && quorum === 1 && !allowPatch
    ? SINGLE
    : MULTIPLE;

/** What follows the version 0. */
const manifestV0: Codec<Manifest> = {
  size(value: Manifest): number {
    const kind = kindOf(value);
    const { quorum, signers } = value;
    return 2 +
      (kind === STATIC ? 32 : kind === SINGLE ? 65 : 1 + uint.size(quorum) + signerList.size(signers));
  },
  encode(cursor: Cursor, value: Manifest): void {
    const kind = kindOf(value);
    algorithm.encode(cursor);
    uint.encode(cursor, kind);
    if (kind === STATIC) {
      fixed32.encode(cursor, value.prologue!.hash);
    } else if (kind === SINGLE) {
      signer.encode(cursor, value.signers[0]!);
    } else {
      uint.encode(cursor, value.allowPatch ? ALLOW_PATCH : 0);
      uint.encode(cursor, value.quorum);
      signerList.encode(cursor, value.signers);
    }
  },
  decode(cursor: Cursor): Manifest {
    algorithm.decode(cursor);
    const at = cursor.start;
    const kind = uint.decode(cursor);
    const none = {
      version: 0,
      allowPatch: false,
      prologue: undefined,
      linked: undefined,
      userData: undefined,
    };
    if (kind === STATIC) {
      return { ...none, quorum: 0, signers: [], prologue: { hash: fixed32.decode(cursor), length: 0 } };
    }
    if (kind === SINGLE) return { ...none, quorum: 1, signers: [signer.decode(cursor)] };
    if (kind !== MULTIPLE) {
      throw new DecodeError(`Expected a kind of manifest from 0 to 2, found ${kind}`, at);
    }
    const allowPatch = (uint.decode(cursor) & ALLOW_PATCH) !== 0;
    return { ...none, allowPatch, quorum: uint.decode(cursor), signers: signerList.decode(cursor) };
  },
};

const prologueCodec: Codec<Prologue> = {
  size: ({ length }: Prologue) => 32 + uint.size(length),
  encode(cursor: Cursor, { hash, length }: Prologue): void {
    fixed32.encode(cursor, hash);
    uint.encode(cursor, length);
  },
  decode: (cursor: Cursor): Prologue => ({ hash: fixed32.decode(cursor), length: uint.decode(cursor) }),
};

/**
 * A {@linkcode Manifest}. What is decoded keeps views of the input; that it says something sensible is not checked, only
 * that it says it in bounds.
 */
export const manifest: Codec<Manifest> = {
  size(value: Manifest): number {
    if (value.version === 0) return 1 + manifestV0.size(value);
    const { quorum, signers, prologue, linked, userData } = value;
    return 3 + uint.size(quorum) + signerList.size(signers) +
      (prologue ? prologueCodec.size(prologue) : 0) +
      (linked ? keyList.size(linked) : 0) + (userData ? buffer.size(userData) : 0);
  },
  encode(cursor: Cursor, value: Manifest): void {
    const { version, allowPatch, quorum, signers, prologue, linked, userData } = value;
    uint.encode(cursor, version);
    if (version === 0) return manifestV0.encode(cursor, value);
    uint.encode(
      cursor,
      (allowPatch ? ALLOW_PATCH : 0) + (prologue ? HAS_PROLOGUE : 0) + (linked ? HAS_LINKED : 0) +
        (userData ? HAS_USER_DATA : 0),
    );
    algorithm.encode(cursor);
    uint.encode(cursor, quorum);
    signerList.encode(cursor, signers);
    if (prologue) prologueCodec.encode(cursor, prologue);
    if (linked) keyList.encode(cursor, linked);
    if (userData) buffer.encode(cursor, userData);
  },
  decode(cursor: Cursor): Manifest {
    const at = cursor.start;
    const version = uint.decode(cursor);
    if (version === 0) return manifestV0.decode(cursor);
    if (version > 3) throw new DecodeError(`Expected a manifest of version 0 to 3, found ${version}`, at);
    const flags = uint.decode(cursor);
    algorithm.decode(cursor);
    return {
      version,
      allowPatch: (flags & ALLOW_PATCH) !== 0,
      quorum: uint.decode(cursor),
      signers: signerList.decode(cursor),
      prologue: flags & HAS_PROLOGUE ? prologueCodec.decode(cursor) : undefined,
      linked: flags & HAS_LINKED ? keyList.decode(cursor) : undefined,
      userData: flags & HAS_USER_DATA ? buffer.decode(cursor) : undefined,
    };
  },
};

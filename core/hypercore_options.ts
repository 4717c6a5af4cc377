/** What logs may be told, and what they tell. */
import type { Codec } from "../encoding/codec.ts";
import type { EncodingName } from "../encoding/from.ts";
import type { Atom } from "./log/atom.ts";
import type { Manifest } from "./log/manifest.ts";
import type { KeyPair } from "./runtime/crypto_provider.ts";
import type { Runtime } from "./runtime/runtime.ts";

/** What encrypts and decrypts blocks in an application's own way. */
export interface EncryptionProvider {
  /** How many bytes a stored block is longer than a block. */
  readonly padding: number;
  /** What is stored of `block`, which is appended at `index` in `fork`. */
  encrypt(index: number, fork: number, block: Uint8Array): Uint8Array;
  /** The block at `index` of which `stored` is stored. */
  decrypt(index: number, stored: Uint8Array): Uint8Array;
}

/** How blocks are encrypted: by a key from which that of the log is derived, by the key of the log itself, or in another way. */
export type EncryptionOption =
  | Uint8Array
  | { readonly key: Uint8Array; readonly isBlockKey?: boolean | undefined }
  | EncryptionProvider;

/** How values become blocks. */
export type ValueEncoding<T> = EncodingName | Codec<T>;

/** Options that each session of a log has for itself. */
export interface SessionOptions<T> {
  /** How values become blocks; bytes as they are by default. */
  readonly valueEncoding?: ValueEncoding<T> | undefined;
  /** What makes blocks of the values of one `append`, where that takes all of them; by default each is encoded by itself. */
  readonly encodeBatch?: ((values: T[]) => (Uint8Array | string)[]) | undefined;
  /** How blocks are encrypted; by default as in the session this one is made of, else by the key that is stored with the log. */
  readonly encryption?: EncryptionOption | undefined;
  /** Whether it may append, where there is a key pair; true by default. */
  readonly writable?: boolean | undefined;
  /** Who signs; by default the writer of the log. */
  readonly keyPair?: KeyPair | undefined;
  /** Whether blocks that are not at hand are waited for; true by default. */
  readonly wait?: boolean | undefined;
  /** For how long they are waited for, in milliseconds; 0, the default, is for ever. */
  readonly timeoutMs?: number | undefined;
  /** Is called with the number of each block that is read. */
  readonly onseq?: ((index: number) => void) | undefined;
  /** Is called with the number of each block that peers have to be asked for. */
  readonly onwait?: ((index: number) => void) | undefined;
  /** Asks peers for nothing as soon as there is such a session, so that all comes unasked: see `allowPush`. False by default. */
  readonly pushOnly?: boolean | undefined;
  /** Whether the log is fetched from peers while this session is open; true by default, but for weak ones. */
  readonly active?: boolean | undefined;
  /** Whether it closes with the last session that is not weak; false by default. */
  readonly weak?: boolean | undefined;
  /** Whether to wait until no other exclusive session is open; false by default. */
  readonly exclusive?: boolean | undefined;
  /** A branch of that name, which lasts: it begins as the log is, is not signed, and lives in the store. */
  readonly name?: string | undefined;
  /** Whether a branch of that name begins anew. */
  readonly overwrite?: boolean | undefined;
  /** Whether it shows the log as it is now, whatever comes. */
  readonly snapshot?: boolean | undefined;
  /** Shows, or begins the branch with, the first so many blocks only. */
  readonly checkout?: number | undefined;
  /** Collects what is written, to be written in one go with what is written to other logs: see `Corestore.atom`. */
  readonly atom?: Atom | undefined;
}

/** Options of a log that is opened. */
export interface HypercoreOptions<T = Uint8Array> extends SessionOptions<T> {
  /** What the log is. */
  readonly manifest?: Manifest | undefined;
  /** Whether a log without manifest has the public key of its writer as key, as those of hypercore 10; false by default. */
  readonly compat?: boolean | undefined;
  /** Whether signatures were made before there were namespaces; only with `compat`. */
  readonly legacy?: boolean | undefined;
  /** User data that is stored with the first block. */
  readonly userData?: Readonly<Record<string, Uint8Array>> | undefined;
  /** Whether a log that its writer has rewritten replaces what is here; true by default. */
  readonly allowFork?: boolean | undefined;
  /** Whether peers may send blocks that nobody asked for; false by default. */
  readonly allowPush?: boolean | undefined;
  /** Whether the log is brought up to date without `update`, as soon as a peer has more of it; true by default. */
  readonly eagerUpgrade?: boolean | undefined;
  /** Whether the latest block comes along when the log is brought up to date; false by default. */
  readonly allowLatestBlock?: boolean | undefined;
  /** Makes the log one of a group, under this topic of 32 bytes: see `Corestore.notifyGroup`. */
  readonly group?: Uint8Array | undefined;
  /** Whether a log that is not stored is made; true by default. */
  readonly createIfMissing?: boolean | undefined;
  /** Fewest and most requests to one peer at a time. */
  readonly inflightRange?: readonly [min: number, max: number] | undefined;
  /** For how long a channel that neither side downloads on stays open, in milliseconds: about 30 s by default. */
  readonly notDownloadingLingerMs?: number | undefined;
  /** Time, chance and cryptography; the system's by default. */
  readonly runtime?: Runtime | undefined;
}

/** Options of a log that is opened, whatever its values are. */
export type LogOptions = Omit<HypercoreOptions, "valueEncoding" | "encodeBatch">;

/** How one block is read. */
export interface GetOptions<T> {
  /** See {@linkcode SessionOptions}. */
  readonly wait?: boolean | undefined;
  /** See {@linkcode SessionOptions}. */
  readonly timeoutMs?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
  /** See {@linkcode SessionOptions}. */
  readonly valueEncoding?: ValueEncoding<T> | undefined;
  /** False for the block as it is encrypted. */
  readonly decrypt?: boolean | undefined;
  /** True for the bytes as they are stored. */
  readonly raw?: boolean | undefined;
  /** How urgent it is to peers, from 0; above 0 goes ahead. */
  readonly priority?: number | undefined;
  /** Whether peers are asked even if one session is `pushOnly`. */
  readonly force?: boolean | undefined;
  /** Is called when peers have to be asked. */
  readonly onwait?: ((index: number) => void) | undefined;
}

/** How something that peers may have to be asked for is looked up. */
export interface WaitOptions {
  /** See {@linkcode SessionOptions}. */
  readonly wait?: boolean | undefined;
  /** See {@linkcode SessionOptions}. */
  readonly timeoutMs?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** How blocks are appended, or a log is cut. */
export interface WriteOptions {
  /** Who signs; by default that of the session. */
  readonly keyPair?: KeyPair | undefined;
  /** A signature that was made elsewhere, as logs of several signers need. */
  readonly signature?: Uint8Array | undefined;
}

/** How blocks are appended. */
export interface AppendingOptions extends WriteOptions {
  /** How many blocks the log may have by it; it is refused if there would be more. */
  readonly maxLength?: number | undefined;
  /** Is called with the blocks when they are stored; until it is done, nothing else changes the log. */
  readonly postappend?: ((blocks: readonly Uint8Array[]) => void | Promise<void>) | undefined;
}

/** What a log tells of itself. */
export interface HypercoreInfo {
  /** Its key. */
  readonly key: Uint8Array;
  /** Under which peers look for it. */
  readonly discoveryKey: Uint8Array;
  /** How many blocks it has. */
  readonly length: number;
  /** All blocks before this one are at hand. */
  readonly contiguousLength: number;
  /** How many bytes its blocks have, padding of encryption excluded. */
  readonly byteLength: number;
  /** How often it was rewritten. */
  readonly fork: number;
  /** Bytes of padding in each block. */
  readonly padding: number;
  /** How many blocks are at hand. */
  readonly held: number;
  /** How many bytes the store, with all its logs, takes on its medium. */
  readonly storeBytes: number;
}

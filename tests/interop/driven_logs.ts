/** What logs of the reference must be able to do for tests, and logs of ours to stand in their place. */

/** Generations of hypercore: 10.38.2 with corestore 6.18.4, 11.37.1 with corestore 7.11.1. */
export const GENERATIONS = [10, 11] as const;
export type Generation = typeof GENERATIONS[number];

/** Where logs of ours lie. */
export type Medium = "memory" | "sqlite";

/** A block: so many bytes of the pattern of a number, or its bytes in hex. */
export type Block = readonly [size: number, n: number] | string;

/** A manifest; a signer is the number whose 32 times is the seed of its key pair. */
export interface ManifestSettings {
  readonly version?: number;
  readonly quorum?: number;
  readonly allowPatch?: boolean;
  readonly signers?: readonly number[];
  readonly prologue?: { readonly hash: string; readonly length: number };
  readonly linked?: readonly string[];
  readonly userData?: string;
}

/** How a log is opened. Bytes are in hex. */
export interface LogSettings {
  /** Whether the key is that of the signer. */
  readonly compat?: boolean;
  readonly manifest?: ManifestSettings;
  /** The number whose 32 times is the seed of the key pair. */
  readonly seed?: number;
  /** Whether signatures are made as they were before there were namespaces. */
  readonly legacy?: boolean;
  /** Whether blocks are taken that nobody asked for. */
  readonly allowPush?: boolean;
  /** Whether nothing is asked for. */
  readonly pushOnly?: boolean;
  /** Whether it is brought up to date by itself. */
  readonly eagerUpgrade?: boolean;
  /** Whether the latest block comes along with that. */
  readonly allowLatestBlock?: boolean;
  /** Whether it follows a writer who cuts it. */
  readonly allowFork?: boolean;
  /** Fewest and most requests to a peer at a time. */
  readonly inflightRange?: readonly [min: number, max: number];
  /** For how long it stays open to peers when nobody uses it, in milliseconds. */
  readonly notDownloadingLinger?: number | undefined;
  /** The key of a log that is read. */
  readonly key?: string;
  readonly encryptionKey?: string;
  readonly isBlockKey?: boolean;
  /** Where it lies; in a folder that goes away, if nothing is said. */
  readonly directory?: string;
}

/** What a log says about itself. Bytes are in hex. */
export interface LogInfo {
  readonly key: string;
  readonly discoveryKey: string;
  readonly manifest: string | null;
  readonly length: number;
  readonly fork: number;
  readonly byteLength: number;
  readonly contiguousLength: number;
  readonly writable: boolean;
  readonly peers: number;
  readonly treeHash: string;
}

/** What of a log is held: equal digests mean equal logs and the same blocks. */
export interface Digest {
  readonly length: number;
  readonly fork: number;
  readonly byteLength: number;
  readonly treeHash: string;
  /** How many blocks are held. */
  readonly held: number;
  /** Of all blocks that are held, in order. */
  readonly hash: string;
}

/** Blocks that are wanted. */
export interface DownloadRange {
  readonly start?: number;
  readonly end?: number;
  readonly blocks?: readonly number[];
  readonly linear?: boolean;
}

/** A log that a test drives, of whatever kind. Nothing that it does lasts for ever. */
export interface DrivenLog {
  readonly key: string;
  readonly discoveryKey: string;
  info(): Promise<LogInfo>;
  digest(): Promise<Digest>;
  append(blocks: readonly Block[], signature?: string): Promise<LogInfo>;
  truncate(length: number, options?: { fork?: number; signature?: string }): Promise<LogInfo>;
  clear(start: number, end: number): Promise<LogInfo>;
  /** The hash of a block; null if it is not here and may not be waited for. */
  get(index: number, options?: { wait?: boolean; timeout?: number }): Promise<string | null>;
  has(start: number, end?: number): Promise<boolean>;
  seek(bytes: number): Promise<readonly [index: number, offset: number]>;
  update(wait: boolean): Promise<boolean>;
  /** Waits until the log has a length, in a fork. */
  until(wanted: { length: number; fork?: number }): Promise<LogInfo>;
  download(range: DownloadRange): Promise<LogInfo>;
  /** Fetches whatever there is from now on. */
  follow(): Promise<void>;
  /** A part of a signature by a signer of the manifest. */
  sign(signed: SignedState): Promise<SignaturePart>;
  /** Puts parts together. */
  assemble(parts: readonly SignerPart[]): Promise<string>;
  /** Sends a block to those who take it unasked. */
  push(index: number): Promise<void>;
  /** Lets applications talk along with the log. */
  extend(extension: string): Promise<void>;
  /** Says something to all peers, or to the first one alone. */
  say(extension: string, text: string, isToOne?: boolean): Promise<void>;
  /** The next thing that a peer says. */
  heard(extension: string): Promise<string>;
  /** Waits until two logs that differ are found to be signed. */
  conflict(): Promise<SeenConflict>;
  close(): Promise<void>;
}

/** What is known of two logs that one writer has signed. */
export interface SeenConflict {
  /** How many first blocks were compared. */
  readonly length: number;
  readonly fork: number;
  /** What the peer had, as a `data` message. */
  readonly proof: string;
}

/** What is signed: the log with blocks behind it, or cut. */
export interface SignedState {
  readonly seed: number;
  /** What all sign. */
  readonly blocks?: readonly Block[];
  /** What this one has signed beyond that. */
  readonly more?: readonly Block[];
  readonly truncate?: { readonly length: number; readonly fork: number };
}

/** A node of the tree. */
export interface PatchNode {
  readonly index: number;
  readonly size: number;
  readonly hash: string;
}

/** What one has signed. */
export interface SignaturePart {
  readonly signature: string;
  /** How many blocks more than all. */
  readonly patch: number;
  readonly nodes: readonly PatchNode[];
}

/** The part of a signer, by its place in the manifest. */
export interface SignerPart extends SignaturePart {
  readonly signer: number;
}

/** Whoever has logs and connections. */
export interface DrivenPeer extends AsyncDisposable {
  readonly title: string;
  open(settings: LogSettings): Promise<DrivenLog>;
  /** Listens for peers that get to see `logs`; returns the port. */
  listen(logs: readonly DrivenLog[], isInitiator?: boolean): Promise<number>;
  /** Connects to a peer; returns what ends the connection. */
  connect(port: number, logs: readonly DrivenLog[], isInitiator?: boolean): Promise<() => Promise<void>>;
  /** Serves the first of `logs` in a swarm, or looks for it, and shows all of them there; returns what leaves the swarm. */
  join(port: number, logs: readonly DrivenLog[], role: SwarmRole): Promise<() => Promise<void>>;
}

/** Who waits to be found, who looks, and who does both. */
export type SwarmRole = "server" | "client" | "both";

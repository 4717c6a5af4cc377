/**
 * What a batch says about one log, in the few kinds of changes that hypercore 10's files can hold.
 */
import { decode, encode } from "../../../encoding/codec.ts";
import { uint } from "../../../encoding/varint.ts";
import { StorageError } from "../../runtime/errors.ts";
import { lastLeaf } from "./positions.ts";
import type { LogAuth, LogHead, LogHints, TreeNode } from "../storage.ts";
import type { LogOperation, LogWriter } from "../write_batch.ts";
import type { UserDatum } from "./entry.ts";

/** Blocks that follow each other. */
export interface BlockRun {
  /** The index of the first. */
  readonly start: number;
  /** What they are. */
  readonly values: readonly Uint8Array[];
}

/** A change of one log. It happens in this order: cut, drop, put. */
export interface Change {
  readonly auth: LogAuth | undefined;
  readonly head: LogHead | undefined;
  readonly userData: readonly UserDatum[];
  /** How many blocks are left. */
  readonly truncate: number | undefined;
  /** Blocks that are dropped; an end may be infinite. */
  readonly clears: readonly { readonly start: number; readonly end: number }[];
  readonly nodes: readonly TreeNode[];
  readonly runs: readonly BlockRun[];
}

/**
 * The user data that the flags of a log are kept in, if there are any; hypercore 10 has no other place for them, and leaves this
 * one alone.
 */
const FLAGS_KEY = "hypha/flags";

function encodeFlags(flags: number): Uint8Array | undefined {
  return flags === 0 ? undefined : encode(uint, flags);
}

/** The flags that are kept in user data. @throws {StorageError} STORE_CORRUPT if what is there is something else. */
export function flagsOf(userData: readonly UserDatum[]): number {
  const value = userData.find(({ key }) => key === FLAGS_KEY)?.value;
  try {
    return value === undefined ? 0 : decode(uint, value);
  } catch (cause) {
    const text =
      `The user data ${FLAGS_KEY} of a log is no number: remove it with the program that has set it`;
    throw new StorageError("STORE_CORRUPT", text, { cause });
  }
}

/** User data without what the store itself keeps there. */
export function ownUserData(userData: readonly UserDatum[]): UserDatum[] {
  return userData.filter(({ key }) => key !== FLAGS_KEY);
}

/** The error for what hypercore 10's files cannot hold. */
export function unsupported(what: string, advice: string): StorageError {
  return new StorageError("NOT_SUPPORTED", `A store of hypercore 10 cannot hold ${what}: ${advice}`);
}

/** Whether the batch takes something away, so that what is written has to be safe before what it replaces is lost. */
export function isDestructive({ operations }: LogWriter): boolean {
  return operations.some(({ type }) => type === "truncate" || type === "clear");
}

/**
 * Sorts the operations of one log.
 *
 * @throws {StorageError} NOT_SUPPORTED for what the files cannot hold.
 */
export function changeOf(writer: LogWriter): Change {
  if (writer.address.overlayName !== undefined) throw unsupported("overlays", "keep them in another store");
  const collector = new Collector();
  for (const operation of writer.operations) collector.add(operation);
  return collector.change();
}

class Collector {
  #auth: LogAuth | undefined;
  #head: LogHead | undefined;
  #userData: UserDatum[] = [];
  #truncate: number | undefined;
  #clears: { start: number; end: number }[] = [];
  #nodes: TreeNode[] = [];
  #blocks = new Map<number, Uint8Array>();

  add(operation: LogOperation): void {
    switch (operation.type) {
      case "auth":
        this.#auth = checkAuth(operation.auth);
        this.#userData.push({ key: FLAGS_KEY, value: encodeFlags(operation.auth.flags) });
        return;
      case "head":
        if (operation.head.flags !== 0) throw unsupported("flags of a head", "leave them 0");
        this.#head = operation.head;
        return;
      case "hints":
        checkHints(operation.hints);
        return;
      case "block":
        this.#blocks.set(operation.index, operation.value);
        return;
      case "node":
        this.#nodes.push(operation.node);
        return;
      case "bitfieldPage":
        return; // the blocks say it
      case "clearNodes":
        return; // the reference keeps them, and they stay true
      case "userData":
        if (operation.key === FLAGS_KEY) {
          throw unsupported(`user data called ${FLAGS_KEY}`, "name it otherwise");
        }
        if (operation.value?.length === 0) {
          throw unsupported("empty user data", "remove it, or give it a byte");
        }
        this.#userData.push({ key: operation.key, value: operation.value });
        return;
      case "clear":
        this.#clears.push({ start: operation.start, end: operation.end });
        this.#dropBlocks(operation.start, operation.end);
        return;
      case "truncate":
        this.#cut(operation.length);
        return;
      case "createOverlay":
      case "removeOverlay":
        throw unsupported("overlays", "keep them in another store");
    }
  }

  change(): Change {
    return {
      auth: this.#auth,
      head: this.#head,
      userData: this.#userData,
      truncate: this.#truncate,
      clears: this.#clears,
      nodes: this.#nodes,
      runs: runsOf(this.#blocks),
    };
  }

  #cut(length: number): void {
    this.#truncate = Math.min(this.#truncate ?? Infinity, length);
    this.#dropBlocks(length, Infinity);
    this.#nodes = this.#nodes.filter(({ index }) => lastLeaf(index) < 2 * length);
  }

  #dropBlocks(start: number, end: number): void {
    for (const index of this.#blocks.keys()) if (index >= start && index < end) this.#blocks.delete(index);
  }
}

function runsOf(blocks: ReadonlyMap<number, Uint8Array>): BlockRun[] {
  const runs: { start: number; values: Uint8Array[] }[] = [];
  for (const [index, value] of [...blocks].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.values.length === index) last.values.push(value);
    else runs.push({ start: index, values: [value] });
  }
  return runs;
}

function checkAuth(auth: LogAuth): LogAuth {
  if (auth.key.length !== 32) throw new RangeError(`The key of a log has 32 bytes, not ${auth.key.length}`);
  if (auth.encryptionKey !== undefined) {
    throw unsupported("encryption keys", "keep them yourself, and give them whenever the log is opened");
  }
  if (auth.manifest !== undefined && auth.manifest[0]! > 1) {
    throw unsupported(`manifests of version ${auth.manifest[0]}`, "use version 1, or another store");
  }
  return auth;
}

function checkHints({ recovering }: LogHints): void {
  if (recovering) throw unsupported("that a log is being recovered", "recover it in another store");
}

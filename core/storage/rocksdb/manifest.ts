/**
 * The list of a database's files: what its MANIFEST says, edit by edit.
 */
import { compare } from "../../../encoding/bytes.ts";
import { Cursor, DecodeError } from "../../../encoding/codec.ts";
import { damaged, type ReadableFile, unknown } from "./files.ts";
import { decodeInternalKey, type InternalKey, takeBytes, takeVarint } from "./fields.ts";
import { readLog } from "./log_file.ts";

/** The tags of a version edit (`db/version_edit.h`). */
const TAG = {
  comparator: 1,
  logNumber: 2,
  nextFileNumber: 3,
  lastSequence: 4,
  compactCursor: 5,
  deletedFile: 6,
  prevLogNumber: 9,
  minLogNumberToKeep: 10,
  newFile4: 103,
  columnFamily: 200,
  columnFamilyAdd: 201,
  columnFamilyDrop: 202,
  maxColumnFamily: 203,
  inAtomicGroup: 300,
  blobFileAddition: 400,
  blobFileGarbage: 401,
} as const;
/** Tags with this bit may be passed over: they are followed by a length. */
const TAG_IGNORABLE = 2 ** 13;
/** The end of the further fields of a table. */
const FIELD_END = 1;
/** Fields of tables and blob files with this bit must be understood. */
const FIELD_NEEDED = 2 ** 6;

/** The only order of keys that is known. */
const BYTEWISE = "leveldb.BytewiseComparator";
/** Levels are few; one that is far off is an error of the file, and must not make a list of that length. */
const MAX_LEVEL = 63;
/** Most edits that belong together. */
const MAX_ATOMIC_GROUP = 2 ** 16;

/** A table that is a part of the database. */
export interface TableFile {
  /** What its name is made of. */
  readonly number: number;
  /** Its bytes. */
  readonly size: number;
  /** Its level: tables of level 0 overlap, those of each other do not. */
  readonly level: number;
  /** The first key that it may say something about. */
  readonly smallest: InternalKey;
  /** The last such key; the end, not included, if it is the end of a range. */
  readonly largest: InternalKey;
}

/** One edit of the list. */
export interface VersionEdit {
  /** Which column family it is about; 0 if none is named. */
  columnFamily: number;
  /** The name of the family if it begins here. */
  added: string | undefined;
  /** Whether the family ends here. */
  isDropped: boolean;
  /** The name of its order of keys. */
  comparator: string | undefined;
  /** Logs with smaller numbers are in its tables. */
  logNumber: number | undefined;
  /** Logs with smaller numbers are in the tables of all families. */
  minLogNumberToKeep: number | undefined;
  /** How many more edits belong to it; undefined if it stands alone. */
  groupRemaining: number | undefined;
  /** Tables that are no longer a part of it, with their levels. */
  readonly deleted: { readonly level: number; readonly number: number }[];
  /** Tables that are new. */
  readonly tables: TableFile[];
}

/** Decodes one edit. @throws {DecodeError} if it makes no sense, or says what must be understood and is not. */
export function decodeVersionEdit(bytes: Uint8Array): VersionEdit {
  const cursor = new Cursor(bytes);
  const edit: VersionEdit = {
    columnFamily: 0,
    added: undefined,
    isDropped: false,
    comparator: undefined,
    logNumber: undefined,
    minLogNumberToKeep: undefined,
    groupRemaining: undefined,
    deleted: [],
    tables: [],
  };
  while (cursor.remaining > 0) decodeField(cursor, edit);
  return edit;
}

function decodeField(cursor: Cursor, edit: VersionEdit): void {
  const at = cursor.start;
  const tag = takeVarint(cursor);
  switch (tag) {
    case TAG.comparator:
      edit.comparator = text(takeBytes(cursor));
      return;
    case TAG.logNumber:
      edit.logNumber = takeVarint(cursor);
      return;
    case TAG.nextFileNumber:
    case TAG.lastSequence:
    case TAG.prevLogNumber:
    case TAG.maxColumnFamily:
      takeVarint(cursor);
      return;
    case TAG.compactCursor:
      takeVarint(cursor);
      takeBytes(cursor);
      return;
    case TAG.deletedFile:
      edit.deleted.push({ level: takeVarint(cursor), number: takeVarint(cursor) });
      return;
    case TAG.minLogNumberToKeep:
      edit.minLogNumberToKeep = takeVarint(cursor);
      return;
    case TAG.newFile4:
      edit.tables.push(decodeTableFile(cursor));
      return;
    case TAG.columnFamily:
      edit.columnFamily = takeVarint(cursor);
      return;
    case TAG.columnFamilyAdd:
      edit.added = text(takeBytes(cursor));
      return;
    case TAG.columnFamilyDrop:
      edit.isDropped = true;
      return;
    case TAG.inAtomicGroup:
      edit.groupRemaining = takeVarint(cursor);
      return;
    case TAG.blobFileAddition:
      return skipBlobFile(cursor, true);
    case TAG.blobFileGarbage:
      return skipBlobFile(cursor, false);
  }
  if (Math.floor(tag / TAG_IGNORABLE) % 2 === 0) throw new DecodeError(`The tag ${tag} is not known`, at);
  takeBytes(cursor);
}

function decodeTableFile(cursor: Cursor): TableFile {
  const level = takeVarint(cursor);
  const number = takeVarint(cursor);
  const size = takeVarint(cursor);
  const smallest = decodeInternalKey(takeBytes(cursor).slice());
  const largest = decodeInternalKey(takeBytes(cursor).slice());
  takeVarint(cursor); // the sequence numbers that it has, from
  takeVarint(cursor); // and to
  skipFields(cursor, FIELD_END);
  return { number, size, level, smallest, largest };
}

/** Blob files are named by the values that are in them: all that matters of the list is that it is understood. */
function skipBlobFile(cursor: Cursor, isAddition: boolean): void {
  for (let i = 0; i < 3; i++) takeVarint(cursor); // its number, blobs, bytes
  if (isAddition) {
    takeBytes(cursor); // how it is summed
    takeBytes(cursor); // the sum
  }
  skipFields(cursor, 0);
}

function skipFields(cursor: Cursor, endTag: number): void {
  for (;;) {
    const at = cursor.start;
    const tag = takeVarint(cursor);
    if (tag === endTag) return;
    if ((tag & FIELD_NEEDED) !== 0) throw new DecodeError(`The field ${tag} of a file is not known`, at);
    takeBytes(cursor);
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The files of one column family. */
export interface ColumnFamily {
  /** The number by which batches name it. */
  readonly id: number;
  /** Logs with smaller numbers are in the tables. */
  readonly logNumber: number;
  /** The tables of each level; those of level 0 the latest first, those of others by their keys. */
  readonly levels: readonly (readonly TableFile[])[];
}

interface Family {
  readonly id: number;
  readonly name: string;
  comparator: string | undefined;
  logNumber: number;
  readonly tables: Map<number, TableFile>;
}

/**
 * Reads a MANIFEST for the family `name`.
 *
 * @returns undefined if there is no such family.
 * @throws {StorageError} STORE_CORRUPT or STORE_UNKNOWN.
 */
export function readManifest(file: ReadableFile, name: string): ColumnFamily | undefined {
  const families = new Map<number, Family>([[0, newFamily(0, "default")]]);
  const group: VersionEdit[] = [];
  let minLogNumber = 0;
  for (const { bytes, offset } of readLog(file, 0)) {
    const edit = decodeAt(file, bytes, offset);
    if (edit.groupRemaining !== undefined) {
      // A group that is cut short by the end of the file never happened.
      if (group.push(edit) > MAX_ATOMIC_GROUP) {
        throw damaged(file.name, offset, "a group of edits has no end");
      }
      if (edit.groupRemaining > 0) continue;
    } else group.push(edit);
    for (const one of group.splice(0)) {
      minLogNumber = Math.max(minLogNumber, one.minLogNumberToKeep ?? 0);
      if (!applyEdit(families, one)) throw damaged(file.name, offset, "an edit does not fit those before");
    }
  }
  const family = families.values().find((family) => family.name === name);
  if (family === undefined) return undefined;
  if (family.comparator !== BYTEWISE) {
    throw unknown(file.name, `its keys are ordered by ${family.comparator}`);
  }
  return {
    id: family.id,
    logNumber: Math.max(family.logNumber, minLogNumber),
    levels: toLevels(family.tables),
  };
}

function newFamily(id: number, name: string): Family {
  return { id, name, comparator: undefined, logNumber: 0, tables: new Map() };
}

function decodeAt(file: ReadableFile, bytes: Uint8Array, offset: number): VersionEdit {
  try {
    return decodeVersionEdit(bytes);
  } catch (error) {
    if (error instanceof DecodeError) throw damaged(file.name, offset, error.message, error);
    throw error;
  }
}

function applyEdit(families: Map<number, Family>, edit: VersionEdit): boolean {
  if (edit.added !== undefined) {
    if (families.has(edit.columnFamily)) return false;
    families.set(edit.columnFamily, newFamily(edit.columnFamily, edit.added));
  }
  const family = families.get(edit.columnFamily);
  if (family === undefined) return false;
  if (edit.isDropped) families.delete(edit.columnFamily);
  family.comparator = edit.comparator ?? family.comparator;
  family.logNumber = Math.max(family.logNumber, edit.logNumber ?? 0);
  for (const { number } of edit.deleted) {
    if (!family.tables.delete(number)) return false;
  }
  for (const table of edit.tables) family.tables.set(table.number, table);
  return true;
}

function toLevels(tables: ReadonlyMap<number, TableFile>): TableFile[][] {
  const levels: TableFile[][] = [];
  for (const table of tables.values()) (levels[Math.min(table.level, MAX_LEVEL)] ??= []).push(table);
  for (let level = 0; level < levels.length; level++) {
    levels[level] ??= [];
    levels[level]!.sort((a, b) =>
      level === 0 ? b.number - a.number : compare(a.smallest.key, b.smallest.key)
    );
  }
  return levels;
}

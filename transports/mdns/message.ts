/**
 * DNS messages as multicast DNS sends them: RFC 1035 section 4 with the changes of RFC 6762 section 18.
 */
import { Cursor, DecodeError } from "../../encoding/codec.ts";
import {
  CLASS_IN,
  FLAG_AUTHORITATIVE,
  FLAG_RESPONSE,
  FLAG_TRUNCATED,
  FLAGS_UNUSUAL,
  MAX_LABEL_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_NAME_BYTES,
  MAX_QUESTIONS,
  MAX_RECORDS,
  TOP_BIT,
  TYPE,
} from "./constants.ts";

/** A question. Names are in lower case, labels joined by dots; a dot or backslash within a label follows a backslash. */
export interface Question {
  /** The name that is asked about. */
  readonly name: string;
  /** One of {@linkcode TYPE}, or any other number. */
  readonly type: number;
}

interface RecordHead {
  /** The name that the record belongs to. */
  readonly name: string;
  /** How long it holds, in seconds; 0 = no longer. */
  readonly ttl: number;
}

/** Points to an instance of a service. */
export interface PtrRecord extends RecordHead {
  readonly type: "PTR";
  readonly target: string;
}

/** Strings about an instance, one byte a character. */
export interface TxtRecord extends RecordHead {
  readonly type: "TXT";
  readonly strings: readonly string[];
}

/** The host and the port of an instance. */
export interface SrvRecord extends RecordHead {
  readonly type: "SRV";
  readonly port: number;
  readonly target: string;
}

/** An address of a host, 4 or 16 bytes. */
export interface AddressRecord extends RecordHead {
  readonly type: "A" | "AAAA";
  readonly address: Uint8Array;
}

/** What can be written. */
export type ResourceRecord = PtrRecord | TxtRecord | SrvRecord | AddressRecord;
/** What is read; records of other types and classes are stepped over. */
export type ReadRecord = PtrRecord | TxtRecord;

/** A message. */
export interface Message<R = ResourceRecord> {
  /** Whether it answers or announces; else it asks. */
  readonly isResponse: boolean;
  /** Whether more known answers follow in another message. */
  readonly isTruncated: boolean;
  /** What is asked. */
  readonly questions: readonly Question[];
  /** In a response what is told, in any section; in a question what is known already. */
  readonly records: readonly R[];
}

const HEADER_BYTES = 12;
/** Type, class, time to live and length of the data. */
const RECORD_HEAD_BYTES = 10;
const POINTER = 0xc0;
const MAX_POINTER = 0x3fff;

/**
 * Reads a message. At most {@linkcode MAX_QUESTIONS} questions and {@linkcode MAX_RECORDS} records are looked at.
 *
 * @throws {DecodeError} if the bytes are no message of multicast DNS.
 */
export function decodeMessage(bytes: Uint8Array): Message<ReadRecord> {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new DecodeError(`Expected at most ${MAX_MESSAGE_BYTES} bytes, found ${bytes.length}`, 0);
  }
  const cursor = new Cursor(bytes);
  const { view } = cursor;
  cursor.take(HEADER_BYTES);
  const flags = view.getUint16(2);
  if ((flags & FLAGS_UNUSUAL) !== 0) throw new DecodeError("Expected opcode 0 and response code 0", 2);
  const isResponse = (flags & FLAG_RESPONSE) !== 0;
  const questions: Question[] = [];
  const records: ReadRecord[] = [];
  const message = { isResponse, isTruncated: (flags & FLAG_TRUNCATED) !== 0, questions, records };
  for (let left = view.getUint16(4); left > 0; left--) {
    // What stands behind a question that is not looked at cannot be found.
    if (questions.length === MAX_QUESTIONS) return message;
    const name = readName(cursor);
    questions.push({ name, type: view.getUint16(cursor.take(4)) });
  }
  const sections = isResponse ? [6, 8, 10] : [6];
  let count = sections.reduce((sum, at) => sum + view.getUint16(at), 0);
  for (count = Math.min(count, MAX_RECORDS); count > 0; count--) {
    const record = readRecord(cursor);
    if (record !== undefined) records.push(record);
  }
  return message;
}

function readRecord(cursor: Cursor): ReadRecord | undefined {
  const { view } = cursor;
  const name = readName(cursor);
  const head = cursor.take(RECORD_HEAD_BYTES);
  const type = view.getUint16(head);
  const ttl = view.getUint32(head + 4);
  const data = cursor.take(view.getUint16(head + 8));
  if ((view.getUint16(head + 2) & ~TOP_BIT) !== CLASS_IN) return undefined;
  const inner = new Cursor(cursor.buffer, data, cursor.start);
  if (type === TYPE.PTR) return { type: "PTR", name, ttl, target: readName(inner) };
  if (type === TYPE.TXT) return { type: "TXT", name, ttl, strings: readStrings(inner) };
  return undefined;
}

function readStrings(cursor: Cursor): string[] {
  const strings: string[] = [];
  while (cursor.remaining > 0) {
    const size = cursor.buffer[cursor.take(1)]!;
    strings.push(latin1(cursor.buffer, cursor.take(size), size));
  }
  return strings;
}

/** Reads a name, following pointers, and moves the cursor behind its first part. */
function readName(cursor: Cursor): string {
  const { buffer } = cursor;
  let part = cursor;
  let partStart = cursor.start;
  let name = "";
  let length = 1;
  while (true) {
    const at = part.take(1);
    const size = buffer[at]!;
    if (size === 0) return name;
    if (size >= POINTER) {
      const to = (size & ~POINTER) << 8 | buffer[part.take(1)]!;
      // Each jump goes to before the part that it comes from, so that no name goes round in a circle.
      if (to >= partStart) throw new DecodeError("Expected a pointer to earlier bytes", at);
      partStart = to;
      part = new Cursor(buffer, to);
      continue;
    }
    if (size > MAX_LABEL_BYTES) throw new DecodeError("Expected a label or a pointer", at);
    length += 1 + size;
    if (length > MAX_NAME_BYTES) throw new DecodeError("Expected a name of at most 255 bytes", at);
    const label = latin1(buffer, part.take(size), size).toLowerCase().replace(/[.\\]/g, "\\$&");
    name = name === "" ? label : `${name}.${label}`;
  }
}

function latin1(buffer: Uint8Array, start: number, size: number): string {
  let text = "";
  for (let i = start; i < start + size; i++) text += String.fromCharCode(buffer[i]!);
  return text;
}

/**
 * Writes a message; names are compressed.
 *
 * @throws {RangeError} if a name or string is too long, or the message longer than `maxBytes`.
 */
export function encodeMessage(message: Message, maxBytes: number): Uint8Array {
  const writer = new MessageWriter(message.isResponse, maxBytes);
  for (const question of message.questions) writer.question(question);
  for (const record of message.records) {
    if (!writer.record(record)) throw new RangeError(`The message has more than ${maxBytes} bytes`);
  }
  return writer.finish(message.isTruncated);
}

/** Writes a message piece by piece, as far as there is room. */
export class MessageWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isResponse: boolean;
  /** Where each name, and each end of one, was written first. */
  readonly #names = new Map<string, number>();
  #at = HEADER_BYTES;
  #questions = 0;
  #records = 0;

  /** A writer of a message of at most `maxBytes`. */
  constructor(isResponse: boolean, maxBytes: number) {
    this.#bytes = new Uint8Array(maxBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#isResponse = isResponse;
  }

  /** Adds a question; all of them come before the first record. */
  question({ name, type }: Question): void {
    this.#name(name);
    this.#uint16(type);
    this.#uint16(CLASS_IN);
    this.#questions++;
  }

  /** Adds a record, if there is room for it. */
  record(record: ResourceRecord): boolean {
    const start = this.#at;
    if (this.#bytes.length - start < boundOf(record)) return false;
    this.#name(record.name);
    this.#uint16(TYPE[record.type]);
    // A peer's name is its own: what it says there replaces what it said before. The pointers to all peers are shared.
    this.#uint16(record.type === "PTR" || !this.#isResponse ? CLASS_IN : CLASS_IN | TOP_BIT);
    this.#view.setUint32(this.#at, record.ttl);
    this.#at += 6;
    const data = this.#at;
    this.#data(record);
    this.#view.setUint16(data - 2, this.#at - data);
    this.#records++;
    return true;
  }

  /** The message. */
  finish(isTruncated = false): Uint8Array {
    const response = this.#isResponse ? FLAG_RESPONSE | FLAG_AUTHORITATIVE : 0;
    this.#view.setUint16(2, response | (isTruncated ? FLAG_TRUNCATED : 0));
    this.#view.setUint16(4, this.#questions);
    this.#view.setUint16(6, this.#records);
    return this.#bytes.subarray(0, this.#at);
  }

  #data(record: ResourceRecord): void {
    switch (record.type) {
      case "PTR":
        return this.#name(record.target);
      case "TXT":
        for (const text of record.strings) this.#string(text);
        return;
      case "SRV":
        this.#at += 4; // priority and weight
        this.#uint16(record.port);
        return this.#name(record.target);
      default:
        this.#bytes.set(record.address, this.#at);
        this.#at += record.address.length;
    }
  }

  #name(name: string): void {
    let rest = name;
    while (rest !== "") {
      const known = this.#names.get(rest);
      if (known !== undefined) return this.#uint16(POINTER << 8 | known);
      if (this.#at <= MAX_POINTER) this.#names.set(rest, this.#at);
      const dot = rest.indexOf(".");
      const label = dot < 0 ? rest : rest.slice(0, dot);
      if (label.length === 0 || label.length > MAX_LABEL_BYTES) {
        throw new RangeError(`Expected labels of 1 to 63 bytes in ${name}`);
      }
      this.#string(label);
      rest = rest.slice(label.length + 1);
    }
    this.#bytes[this.#at++] = 0;
  }

  /** A length and as many bytes. */
  #string(text: string): void {
    if (text.length > 255) throw new RangeError(`Expected at most 255 bytes, got ${text.length}`);
    this.#bytes[this.#at++] = text.length;
    for (let i = 0; i < text.length; i++) this.#bytes[this.#at++] = text.charCodeAt(i);
  }

  #uint16(value: number): void {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
  }
}

/** The most bytes that a record can take: those without compression. */
function boundOf(record: ResourceRecord): number {
  const head = record.name.length + 2 + RECORD_HEAD_BYTES;
  switch (record.type) {
    case "PTR":
      return head + record.target.length + 2;
    case "TXT":
      return head + record.strings.reduce((sum, text) => sum + 1 + text.length, 0);
    case "SRV":
      return head + 6 + record.target.length + 2;
    default:
      return head + record.address.length;
  }
}

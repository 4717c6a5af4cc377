/**
 * What SQLite does not tell of its log: it reads it up to the first frame that is not whole, and drops the rest. That is right
 * after a power cut, and hides it if a frame was whole once.
 *
 * Source: sqlite.org/fileformat2.html, "The Write-Ahead Log".
 */
import { equals } from "../../encoding/bytes.ts";
import { isNearly } from "./nearly.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** Where the two salts are in the header of the log, and in that of a frame. */
const [SALTS_AT, FRAME_SALTS_AT] = [16, 8];
const SALT_BYTES = 8;
const MAX_PAGE_BYTES = 65_536;
/** What a log begins with whose checksums take words with the lowest byte first; one more if it is the highest. */
const MAGIC = 0x377f0682;

/** A log to be looked at. */
export interface WalFile {
  /** Its length in bytes. */
  readonly size: number;
  /** At most `length` bytes from `offset` on. */
  read(offset: number, length: number): Uint8Array;
}

/** Whether a frame was begun that is not whole, or the log is not one. */
export function isWalTorn({ size, read }: WalFile): boolean {
  if (size === 0) return false;
  const header = read(0, HEADER_BYTES);
  if (header.length < HEADER_BYTES) return true;
  const words = viewOf(header);
  const magic = words.getUint32(0);
  const isLittle = magic === MAGIC;
  const sums = new Uint32Array(2);
  addUp(sums, words, 0, 24, isLittle);
  const pageBytes = words.getUint32(8);
  const isHeader = (isLittle || magic === MAGIC + 1) && isSum(sums, words, 24);
  if (!isHeader || pageBytes > MAX_PAGE_BYTES || pageBytes % 8 !== 0) return true;
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  for (let at = HEADER_BYTES; at < size; at += frameBytes) {
    const frame = read(at, frameBytes);
    if (frame.length < FRAME_HEADER_BYTES) return false;
    const [salts, expected] = [saltsAt(frame, FRAME_SALTS_AT), saltsAt(header, SALTS_AT)];
    if (!isNearly(salts, expected)) return false; // it is left of an earlier log
    if (frame.length < frameBytes || !equals(salts, expected)) return true;
    const words = viewOf(frame);
    addUp(sums, words, 0, 8, isLittle);
    addUp(sums, words, FRAME_HEADER_BYTES, frameBytes, isLittle);
    if (!isSum(sums, words, 16)) return true;
  }
  return false;
}

function saltsAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at, at + SALT_BYTES);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function addUp(sums: Uint32Array, words: DataView, start: number, end: number, isLittle: boolean): void {
  let [first, second] = [sums[0]!, sums[1]!];
  for (let at = start; at < end; at += 8) {
    first = (first + words.getUint32(at, isLittle) + second) >>> 0;
    second = (second + words.getUint32(at + 4, isLittle) + first) >>> 0;
  }
  sums[0] = first;
  sums[1] = second;
}

function isSum(sums: Uint32Array, words: DataView, at: number): boolean {
  return words.getUint32(at) === sums[0] && words.getUint32(at + 4) === sums[1];
}

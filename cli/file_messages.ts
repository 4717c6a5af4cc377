/**
 * The messages by which a file is handed over, on a channel that both sides open: a type byte, then the body.
 *
 * ```text
 * sender                      receiver
 *   wait                 ->          while others are served; or refuse(code, reason)
 *   offer(name, size)    ->
 *                        <-   accept, or refuse(code, reason)
 *   data(bytes) ...      ->
 *   end(sha256)          ->
 *                        <-   done, when the file is safe under its name; or refuse
 * ```
 */
import { type Codec, type Cursor, DecodeError, fixed32, string, uint } from "../encoding/mod.ts";

/** A message of the exchange. */
export type FileMessage =
  | { readonly type: "offer"; readonly name: string; readonly size: number }
  | { readonly type: "accept" }
  | { readonly type: "refuse"; readonly code: string; readonly reason: string }
  | { readonly type: "data"; readonly bytes: Uint8Array }
  | { readonly type: "end"; readonly sha256: Uint8Array }
  | { readonly type: "done" }
  | { readonly type: "wait" };

const TYPES = ["offer", "accept", "refuse", "data", "end", "done", "wait"] as const;
/** File bytes in one message. */
export const DATA_BYTES = 64 * 1024;

/** How they are written. The bytes of `data` are read as a view. */
export const fileMessage: Codec<FileMessage> = {
  size(message: FileMessage): number {
    switch (message.type) {
      case "offer":
        return 1 + string.size(message.name) + uint.size(message.size);
      case "refuse":
        return 1 + string.size(message.code) + string.size(message.reason);
      case "data":
        return 1 + message.bytes.length;
      case "end":
        return 1 + 32;
      default:
        return 1;
    }
  },
  encode(cursor: Cursor, message: FileMessage): void {
    uint.encode(cursor, TYPES.indexOf(message.type));
    if (message.type === "offer") {
      string.encode(cursor, message.name);
      uint.encode(cursor, message.size);
    } else if (message.type === "refuse") {
      string.encode(cursor, message.code);
      string.encode(cursor, message.reason);
    } else if (message.type === "data") {
      cursor.buffer.set(message.bytes, cursor.reserve(message.bytes.length));
    } else if (message.type === "end") {
      fixed32.encode(cursor, message.sha256);
    }
  },
  decode(cursor: Cursor): FileMessage {
    const at = cursor.start;
    const type = TYPES[uint.decode(cursor)];
    switch (type) {
      case "offer":
        return { type, name: string.decode(cursor), size: uint.decode(cursor) };
      case "refuse":
        return { type, code: string.decode(cursor), reason: string.decode(cursor) };
      case "data": {
        const start = cursor.take(cursor.remaining);
        return { type, bytes: cursor.buffer.subarray(start, cursor.end) };
      }
      case "end":
        return { type, sha256: fixed32.decode(cursor) };
      case undefined:
        throw new DecodeError("Unknown message of the file exchange", at);
      default:
        return { type };
    }
  },
};

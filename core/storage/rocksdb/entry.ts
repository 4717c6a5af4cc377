/**
 * What is said about a key somewhere in a database.
 */

/** The latest that one source says about a key. */
export interface Entry {
  /** The key. */
  readonly key: Uint8Array;
  /** When it was written: the latest of all sources counts. */
  readonly sequence: number;
  /** One of `VALUE_TYPES`. */
  readonly type: number;
  /** Its value, read when it is asked for. */
  value(): Uint8Array;
}

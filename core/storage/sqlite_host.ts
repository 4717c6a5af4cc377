/** What the store in SQLite needs of the host. */

/** A statement, as `node:sqlite` has it. */
export interface SqliteStatement {
  run(...values: (number | string | Uint8Array)[]): { readonly changes: number | bigint };
  get(...values: (number | string | Uint8Array)[]): unknown;
  iterate(...values: (number | string | Uint8Array)[]): Iterable<unknown>;
}

/** A database, as `node:sqlite` has it. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

/** What the engine needs from the host. */
export interface SqliteHost {
  /** The database, with its tables. */
  readonly database: SqliteDatabase;
  /** Where it is, for messages. */
  readonly path: string;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
  /** Makes what was committed safe. */
  sync(): Promise<void>;
  /** Lets other work go first. */
  rest(): Promise<void>;
  /** Closes what the host has opened. */
  close(): void;
}

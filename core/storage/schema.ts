/**
 * The tables of a store in SQLite.
 *
 * Values that are counted have their index in the row's own number, since such tables are read fastest by far: blocks of 4 KiB
 * three times and of 64 KiB five times as fast as where layer and index are a primary key of two columns. JavaScript can say
 * 53 bits of a row's number, so that the upper bits of a layer's indexes are replaced by the number of a segment.
 */

/** `hyph`: what the header of the file says that it is. */
export const APPLICATION_ID = 0x68797068;
/** The version of what follows. */
export const SCHEMA_VERSION = 3;
/** Indexes in a segment. */
export const SEGMENT_SIZE: number = 2 ** 20;

/** Before there are tables: free pages can be given back, at no cost that could be measured. */
export const PREPARE = "PRAGMA auto_vacuum = INCREMENTAL";

const PLACE_TABLE = `
  CREATE TABLE place (
    id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL
  );`;

/**
 * Makes the tables. A row holds `count` values that follow each other; `sum` is a CRC-32 of the value that begins with a hash of
 * its place.
 */
export const CREATE: string = `
  CREATE TABLE named (
    layer INTEGER NOT NULL,
    name TEXT NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (layer, name)
  ) WITHOUT ROWID;
  CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    layer INTEGER NOT NULL,
    kind TEXT NOT NULL,
    high INTEGER NOT NULL,
    UNIQUE (layer, kind, high)
  );
  CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL
  );
  CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL
  );
  CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    value BLOB NOT NULL
  );
  ${PLACE_TABLE}
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** Turns an older version into this one: in version 1 each value had a row of its own, in version 2 there were no places. */
export function upgradeFrom(version: number): string {
  const statements = [PLACE_TABLE, `PRAGMA user_version = ${SCHEMA_VERSION};`];
  if (version === 1) {
    for (const kind of ["block", "node", "page"]) {
      statements.unshift(`ALTER TABLE ${kind} ADD COLUMN count INTEGER NOT NULL DEFAULT 1;`);
    }
  }
  return statements.join("\n");
}

/**
 * What a deferred engine lets wait, and how much it does at once.
 */

/** Most of the ring that a frame may take. */
export const FRAME_SHARE = 1 / 4;
/** A transaction of so many bytes without large values gains nothing by waiting. */
export const MANY_BYTES = 2 ** 14;
/** How much of the ring may wait before the oldest frames are taken below. */
export const PENDING_SHARE = 1 / 16;
/** How much of it may be in use before writers are to wait for the medium. */
export const FULL_SHARE = 1 / 2;
/** How much of it is taken below in one transaction: some milliseconds. */
export const SLICE_SHARE = 1 / 64;
/** Bytes of values after which the medium is asked to have them, so that what waits for that stays little. */
export const MAX_UNSYNCED_BYTES = 2 ** 23;
/** Places that are read at once. */
export const PLACES_BYTES = 2 ** 16;

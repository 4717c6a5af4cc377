/** Numbers and constants of replication. */

// --- Wire (hypercore 11.37.1: lib/replicator.js, lib/wants.js, lib/messages.js)

/** The protocol under which a log is replicated; the discovery key says which log. */
export const PROTOCOL = "hypercore/alpha";
/** The name under which the same is spoken by some peers. */
export const PROTOCOL_ALIAS = "hypercore";
/** Blocks of one want: 2^21. A bitfield of as many is the longest that anyone sends. */
export const WANT_BLOCKS = 2 ** 21;
/** Blocks of a small want, 2^12, whose bitfield has 512 bytes. The reference's, where `SMALL_WANTS` is enabled. */
export const SMALL_WANT_BLOCKS = 4096;
/** The shortest want, in blocks; wants are powers of two from here to WANT_BLOCKS, and begin at a multiple of their length. */
export const MIN_WANT_BLOCKS = 32;
/** Reason of a refusal: the blocks or nodes are not at hand. */
export const NOT_AVAILABLE = 1;
/** Reason of a refusal: nobody could answer this about a log of that length. */
export const INVALID_REQUEST = 2;

// --- Tuning: asking

/** Least and most requests that wait for one peer at a time. The reference's. */
export const IN_FLIGHT_RANGE: readonly [min: number, max: number] = [16, 512];
/** Times the least, where the round trip is not known. The reference's. */
export const UNKNOWN_RTT_FACTOR = 3;
/** Round trips up to here, in milliseconds, need the least only. The reference's. */
export const SCALE_RTT_MS = 50;
/** While the blocks on their way are expected to have no more bytes than this, more may be asked for: 1 MiB. */
export const WINDOW_BYTES = 1048576;
/** How long a block may be on its way until another peer is asked too, in milliseconds: four round trips over a long line. */
export const HOTSWAP_MS = 1000;
/** At how many peers one block is asked for at a time. The reference's. */
export const MAX_HOTSWAPS = 3;
/** Blocks on their way that are looked at when a peer has time to help out. */
export const HOTSWAP_SCAN = 64;
/** Regions of a peer's log that it is asked to tell about at a time, each up to 256 KiB. The reference has 512. */
export const MAX_LOCAL_WANTS = 32;
/** Small regions of a peer's log that it is asked to tell about at a time; with all others less than the reference lists, 512. */
export const MAX_LOCAL_SMALL_WANTS = 256;
/** The share of a large region's bits, one in so many, up to which small regions in it are asked about, and not all of it. */
export const SMALL_WANT_SHARE = 8;
/** Regions of a peer's log of which it is asked for any block at a time: half of what the reference lists. */
export const MAX_LOCAL_ANY_WANTS = 8;
/** Wants of one range that are sent to a peer at a time. The reference's. */
export const RANGE_WANTS = 3;
/** Runs and pages, up to 4 KiB each, that are kept of what one peer has: MAX_LOCAL_WANTS regions in pages, and room. */
export const MAX_REMOTE_ENTRIES = 4096;
/** Refusals in a row after which a peer is asked nothing more. The reference's. */
export const MAX_REFUSALS = 32;
/** Wrong proofs after which a peer is asked nothing more, even where it was no conflict. */
export const MAX_INVALID_DATA = 3;
/** Proofs of a peer's log that are compared though nobody asked for them: each costs a few signatures. */
export const MAX_UNASKED_COMPARISONS = 4;
/** Blocks of a peer that nobody asked for and that are being verified and stored; more are ignored. */
export const MAX_PUSHES = 64;

// --- Tuning: answering

/** Requests of a peer that wait for their answer: what the reference asks at most, and half of that for helping out. */
export const MAX_QUEUED_REQUESTS = 1024;
/** Bytes of blocks that are sent before others have a turn, or the pipe says whether it has room: 512 KiB. */
export const MAX_TURN_BYTES = 524288;
/** Requests that nobody could answer after which a peer is dropped; each that is answered takes one back. The reference's. */
export const MAX_INVALID_REQUESTS = 64;
/** Regions that a peer may want to hear of before it hears of everything. The reference's. */
export const MAX_REMOTE_WANTS = 512;
/** Lengths that these may have. The reference's. */
export const MAX_REMOTE_WANT_LENGTHS = 4;
/** Regions of which a peer may want to hear of any one block. The reference's. */
export const MAX_REMOTE_ANY_WANTS = 16;
/** Blocks at the end of which everyone is told. The reference's. */
export const RECENT_BLOCKS = 256;
/** Bytes of the name of an extension. */
export const MAX_EXTENSION_NAME_BYTES = 1024;
/** Words of a bitfield message: WANT_BLOCKS bits. */
export const MAX_BITFIELD_WORDS = 65536;

// --- Tuning: time

/** Least and most milliseconds after which a log that nobody uses is no longer asked for. The reference's. */
export const LINGER_MS: readonly [min: number, max: number] = [20_000, 40_000];
/**
 * Milliseconds for which a peer is waited for that does not open its channel, say how its log stands, or acknowledge how long it is
 * here, when somebody asks whether there is news: some round trips over a long line, and a disk that wakes up.
 */
export const NEWS_WAIT_MS = 5000;
/**
 * Milliseconds for which a peer is waited for that has said that its log is longer, and was asked to prove it, when somebody asks
 * whether there is news: a slow line with much before the answer.
 */
export const ANSWER_WAIT_MS = 30_000;
/** Milliseconds until a channel that was closed because it was idle is opened again, if it is needed. */
export const REOPEN_MS = 100;

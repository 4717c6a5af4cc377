/**
 * Numbers of UDX. The first half is the wire: both sides must agree. The second is tuning: each side decides for itself.
 */

// --- Wire (libudx 1.21: include/udx.h, src/udx.c) ---

/** First byte of each packet. */
export const MAGIC = 0xff;
/** Second byte of each packet. */
export const VERSION = 1;
/** Bytes of a header without SACK ranges or padding. */
export const HEADER_BYTES = 20;
/** The payload belongs to the byte stream and consumes a sequence number. */
export const DATA = 1;
/** The stream ends with this packet; consumes a sequence number, with or without payload. */
export const END = 2;
/** The types that consume a sequence number. */
export const SEQUENCED = DATA | END;
/** The header is followed by pairs of 32-bit numbers: ranges that were received out of order. */
export const SACK = 4;
/** The payload is an unordered message; no sequence number is consumed. */
export const MESSAGE = 8;
/** The sender has dropped the stream. */
export const DESTROY = 16;
/** Asks for an acknowledgement. */
export const HEARTBEAT = 32;
/** Bytes of one SACK range. */
export const RANGE_BYTES = 8;
/** Ranges in one packet at the most: 50 of them fit the smallest path with room to spare. */
export const MAX_SACK_RANGES = 50;
/**
 * How far ahead of the acknowledged number a packet may be, in packets: what the reference looks at for its SACKs. Also
 * what bounds the packets that a peer can make us remember, by acknowledging all but the first.
 */
export const MAX_SEQ_AHEAD = 65_536;
/** Receive window that a peer assumes before it has heard, in bytes; the reference never advertises another. */
export const DEFAULT_WINDOW = 4 * 1024 * 1024;
/** IP (without options) and UDP headers, in bytes, by address family: an MTU counts them. */
export const IP_UDP_BYTES = { 4: 28, 6: 48 } as const;

// --- Tuning ---

/** Every path must carry this, in bytes with IP header: QUIC's and the reference's base. */
export const BASE_MTU = 1200;
/** Largest MTU that is tried, in bytes: Ethernet. Also the reference's ceiling; its receive buffer ends at 2048. */
export const MAX_MTU = 1500;
/** A probe may not be bigger than what the data-offset byte can count as padding. */
export const MAX_PROBE_PADDING = 248;
/** The search for the MTU ends when the answer is known to these bytes. */
export const MTU_PRECISION = 16;
/** Lost probes of one size before the size counts as too big: one loss alone may be congestion. */
export const MTU_PROBE_TRIES = 3;

/** First retransmission timeout, before any round-trip sample, in milliseconds (RFC 6298). */
export const INITIAL_RTO_MS = 1000;
/**
 * Least retransmission timeout once the round trip is known. The reference keeps 1000; Linux has lived with 200 for
 * decades, and at 20 % loss it is the difference between a stall and a hiccup.
 */
export const MIN_RTO_MS = 250;
/** Greatest retransmission timeout, in milliseconds. */
export const MAX_RTO_MS = 30_000;
/**
 * A repeated timeout waits twice as long, up to the greater of this and two timeouts, in milliseconds: so long a stream stays quiet
 * at most after an outage. Two packets a second burden no line.
 */
export const MAX_BACKOFF_MS = 1000;
/** Timeouts of one packet, without a sign of life in between, after which the peer counts as dead. */
export const MAX_TIMEOUTS = 7;
/** And the least time that must have passed since the last sign of life: with no sample, 1 + 6 x 2 seconds. */
export const DEAD_AFTER_MS = 13_000;
/** Milliseconds without an answer after which the path is suspected: some timeouts, or two on a path without samples. */
export const SILENCE_MS = 2000;
/** A round trip of this and more that is also an outlier is a suspended machine, not a path, in milliseconds. */
export const RTT_OUTLIER_MS = 5000;
/** RACK's memory of the shortest round trip, in milliseconds. */
export const RACK_MIN_RTT_WINDOW_MS = 300_000;
/** Duplicate acknowledgements that used to mean loss; RACK stops waiting for reordering at as many SACKs. */
export const DUP_THRESHOLD = 3;
/**
 * Least probe timeout, in milliseconds: on a fast path two round trips are less than what hosts take to wake a program, and
 * each such delay would look like a loss. Linux has about as much.
 */
export const MIN_PROBE_TIMEOUT_MS = 10;
/** Added to the probe timeout when only one packet is out: the peer may be slow to answer a single one. */
export const LONE_PACKET_SLACK_MS = 2;

/** Unsent bytes from which `write` asks to wait. The reference's figure. */
export const WRITE_HIGH_WATER = 256 * 1024;
/** Unsent bytes below which the writer may go on. */
export const WRITE_LOW_WATER = 128 * 1024;
/** Unsent unordered messages and their bytes; more are dropped. */
export const MAX_QUEUED_MESSAGES = 256;
/** Received packets that are answered at once instead of at the end of the turn, so that the sender's clock runs on. */
export const ACK_EVERY_PACKETS = 16;
/**
 * A smaller window than this is advertised as none at all: the reference counts the window in whole packets, and with a
 * remainder it neither sends nor asks.
 */
export const MIN_WINDOW = 4096;
/** How long a finished stream still answers, in milliseconds: as long as a peer without our answer keeps asking. */
export const LINGER_MS = DEAD_AFTER_MS;
/**
 * How often a dropped stream says so: nobody acknowledges it, so it is said a few times, a round trip or two apart, and
 * once for each packet that still comes, up to a bound. The reference says it once.
 */
export const DESTROY_REPEATS = 3;
/** That bound, in packets. */
export const MAX_DESTROY_PACKETS = 16;

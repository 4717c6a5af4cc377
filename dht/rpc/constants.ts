/**
 * The numbers of the DHT's request and reply protocol. *Wire*: what other nodes expect, from dht-rpc 6.27.0 and
 * kademlia-routing-table as installed with it. *Tuning*: hypha's own choices, each with its unit and its reason.
 */

// Wire

/** First byte of a request: version 3 in the low half, kind 0 in the high half (`lib/io.js`). */
export const REQUEST_BYTE = 0x03;
/** First byte of a reply: version 3, kind 1 (`lib/io.js`). */
export const REPLY_BYTE = 0x13;
/** Bytes of a node id, a target and a token. */
export const ID_BYTES = 32;

/** Commands of the protocol itself, told from those of applications by a flag (`lib/commands.js`). */
export const Command = {
  /** Are you there? */
  Ping: 0,
  /** Answer to another port of mine; value: the port, u16 LE. */
  PingNat: 1,
  /** Nodes near `target`? */
  FindNode: 2,
  /** A node that you told me of does not answer; value: its address. */
  DownHint: 3,
  /** Are you there? Answer after a while; value: milliseconds, u32 LE. */
  DelayedPing: 4,
} as const;

/** Error numbers of replies (`lib/errors.js`); those from 16 up belong to applications. */
export const ReplyError = {
  /** No error. */
  None: 0,
  /** The node does not know the command. */
  UnknownCommand: 1,
  /** The token is not, or no longer, valid; the reply carries a fresh one. */
  InvalidToken: 2,
} as const;

/** Nodes in a bucket, in a list of closer nodes and in the result of a query (kademlia-routing-table). */
export const K = 20;
/** Longest delay of a delayed ping that nodes serve, in milliseconds (`index.js`). */
export const MAX_PING_DELAY_MS = 10_000;
/** What a requester adds to the delay before it gives up, in milliseconds (`index.js`). */
export const DELAYED_PING_GRACE_MS = 1000;
/** Receive buffer of the reference, so the longest datagram that it can be sent (udx-native). */
export const MAX_DATAGRAM_BYTES = 2048;
/** Age at which token secrets change, in milliseconds; a token lives once to twice as long (`lib/io.js`). */
export const TOKEN_ROTATION_MS = 7500;

// Tuning: requests

/** Milliseconds before a request to an unknown node is sent again (the reference's, for all nodes). */
export const REQUEST_TIMEOUT_MS = 1000;
/**
 * The same for the first try while no RTT is known at all, in milliseconds. Few round trips take longer; a lookup with a kept table
 * of which a tenth is gone ended after 0.9 s (median) in a simulated world, and after 1.1 s with a second instead.
 */
export const FIRST_TIMEOUT_MS = 600;
/** Bounds of the first timeout to a node of known RTT, in milliseconds (adaptive-timeout's). */
export const MIN_TIMEOUT_MS = 300;
/** See {@linkcode MIN_TIMEOUT_MS}. */
export const MAX_TIMEOUT_MS = 4000;
/** How long an RTT is believed, in milliseconds (adaptive-timeout's). */
export const RTT_MAX_AGE_MS = 600_000;
/** Up to this many milliseconds are added to an adaptive timeout, so that bursts do not repeat as bursts (adaptive-timeout's). */
export const TIMEOUT_JITTER_MS = 256;
/** Resends of a request, and of a request of a query (the reference's). */
export const REQUEST_RETRIES = 3;
/** See {@linkcode REQUEST_RETRIES}. */
export const QUERY_RETRIES = 5;
/** Unanswered requests that may always be out: as many as the reference has at most. */
export const MIN_WINDOW = 80;
/** Unanswered requests to which answers let the window grow. */
export const MAX_WINDOW = 1024;
/** Silence after which a grown window is forgotten, in milliseconds. */
export const WINDOW_IDLE_MS = 10_000;
/**
 * Unanswered requests to one address. A network of 20 nodes with 32 lookups in flight would use 16 on average; large networks come
 * nowhere near.
 */
export const MAX_PER_DESTINATION = 32;
/** Requests that may wait for the window. Own requests, but a loop of the application should find an end. */
export const MAX_QUEUED = 16_384;
/** Hosts whose RTT is remembered, of some 100 bytes each: about as many as a table has nodes. */
export const MAX_RTTS = 256;

// Tuning: the table (the reference counts in ticks of 5 s; the times are the same)

/** Period of health checks, of the limit of down hints and of the look for a wake-up, in milliseconds. */
export const TICK_MS = 5000;
/** A tick that comes so late means that the host has slept, in milliseconds. */
export const SLEEP_MS = 3 * TICK_MS;
/** Period of pings to the nodes not heard of for longest, in milliseconds. */
export const PING_OLDEST_MS = 8 * TICK_MS;
/**
 * Milliseconds until a node that knows nobody looks for its bootstrap nodes again; they double each time, up to
 * {@linkcode PING_OLDEST_MS}. One burst of loss at the start should not cost half a minute.
 */
export const LONELY_MS = 1000;
/** Idle time after which a random bucket is refreshed, in milliseconds. */
export const REFRESH_MS = 60 * TICK_MS;
/** A node heard of within this time needs no ping, in milliseconds. */
export const RECENT_MS = 12 * TICK_MS;
/** A node that has been in the table for so long is likely to stay, in milliseconds. */
export const OLD_MS = 360 * TICK_MS;
/** Time between two NAT samples from one node, in milliseconds. */
export const SAMPLE_MS = 360 * TICK_MS;
/** Uptime before an adaptive node tries to become persistent, in milliseconds. */
export const STABLE_MS = 240 * TICK_MS;
/** The same after a try or a wake-up, in milliseconds. */
export const MORE_STABLE_MS = 3 * STABLE_MS;
/** Replacements of nodes of full buckets that are under way at once. */
export const MAX_REPINGS = 3;
/** Pings that others can make this node send, at once: for down hints and for newcomers that have to prove their address. */
export const MAX_CHECKS = 10;
/** Down hints sent in a tick, by default. */
export const DOWN_HINTS_PER_TICK = 50;
/**
 * Nodes of one IPv4 /24 in a bucket and among the closest of a query. One address owns some 65,000 ids, one for each port; without
 * the limit a single address can be all 20 closest nodes of a key.
 */
export const MAX_PER_SUBNET = 2;
/**
 * Nodes around a key that count although there should be none so near, and how many there may be for each one to be expected: see
 * `crowd.ts`. The number of nodes is known to a quarter, so that a network without attackers keeps below this.
 */
export const CROWD_BASE = 3;
/** See {@linkcode CROWD_BASE}. */
export const CROWD_FACTOR = 3;
/** Replies of nodes near a key that one query keeps, those included that do not count. */
export const MAX_NEAR_REPLIES = 256;
/** How often the routing table is handed to its store, in milliseconds. */
export const SAVE_MS = 600_000;
/** Nodes that are stored: enough for a start without bootstrap nodes even if most have gone. */
export const MAX_STORED_NODES = 200;

// Tuning: queries

/** Requests of a query that are out at once (the reference's). */
export const QUERY_CONCURRENCY = 10;
/** The same while a query asks cached nodes first (the reference's). */
export const CACHED_CONCURRENCY = 3;
/** Addresses that one query looks at. Among 1,000 honest nodes a query visits 36 on average. */
export const MAX_CANDIDATES = 2000;
/** Addresses of one /24 that one query visits. */
export const MAX_VISITS_PER_SUBNET = 6;
/** Nodes that are told that a node they named is down. */
export const MAX_REFERRERS = 8;
/** Dead ends after which the word of a node counts less than that of others, as long as none of its nodes has answered. */
export const MAX_DEAD_ENDS = 3;
/** Sends without an answer after which a query no longer waits for a node, if it has nothing else to wait for. */
export const MAX_AWAITED_SENDS = 3;
/** Replies that wait for a reader before the query pauses. */
export const MAX_UNREAD_REPLIES = 64;

// Tuning: what strangers may cost

/** Period in which a source's credit is counted, in milliseconds. */
export const CREDIT_PERIOD_MS = 10_000;
/** Bytes that a source gets in a period beyond {@linkcode AMPLIFICATION} times its own. */
export const CREDIT_BURST_BYTES = 16_384;
/** Bytes that an unproven source gets for each of its own; QUIC's figure (RFC 9000, section 8). */
export const AMPLIFICATION = 3;
/** Requests of one unproven source that are looked at in a period. */
export const MAX_REQUESTS_PER_PERIOD = 5000;
/** Sources that are counted one by one in a period; others share credits. */
export const MAX_SOURCES = 8192;
/**
 * Credits that all other sources share. Under a flood of 50,000 requests a second from forged addresses, some hundred of them use
 * up the same credit as an honest newcomer, which leaves him his answers; with one credit for all he would get none.
 */
export const SHARED_CREDITS = 1024;
/** Messages to third parties that one source causes, in a second and in a burst. */
export const FORWARDS_PER_SECOND = 10;
/** How long a forwarded request may be answered, in milliseconds. */
export const FORWARD_MS = 10_000;
/** Forwarded requests that are remembered. */
export const MAX_FORWARDS = 4096;
/** Delayed pings that wait, in all and for one source. */
export const MAX_DELAYED_PINGS = 1024;
/** See {@linkcode MAX_DELAYED_PINGS}. */
export const MAX_DELAYED_PINGS_PER_SOURCE = 16;
/** Datagrams that wait to be sent within one turn. */
export const MAX_OUTBOX = 8192;

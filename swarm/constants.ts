/** The numbers of the swarm. Durations are in milliseconds. */

// Wire

/** Bytes of a topic. */
export const TOPIC_BYTES = 32;
/** The protocol name of the channel on which peers prove their topics. */
export const TOPICS_PROTOCOL = "hypha/topics/1";

// Tuning: the figures of hyperswarm 4.17.2, so that both behave alike in one swarm

/** Connections after which no more are dialed, explicit peers aside. */
export const MAX_PEERS = 64;
/** Dials at a time. */
export const MAX_PARALLEL = 3;
/** Pauses before the next dial, short to very long. */
export const BACKOFFS_MS: readonly [number, number, number, number] = [1_000, 5_000, 15_000, 600_000];
/** What is added to each of them at most, by chance. */
export const BACKOFF_JITTERS_MS: readonly [number, number, number, number] = [500, 1_000, 2_000, 120_000];
/** Failures after which a peer that is not explicit has the longest backoff, or none. */
export const MAX_ATTEMPTS = 3;
/** Quick dials to an explicit peer, each a second later than the one before. */
export const MAX_EXPLICIT_ATTEMPTS = 5;
/** How long a connection must last for the failures before it to be forgotten. */
export const STABLE_CONNECTION_MS = 15_000;
/** The slow pace of lookups, and what chance adds at most. */
export const REFRESH_MS = 600_000;
/** See {@linkcode REFRESH_MS}. */
export const REFRESH_JITTER_MS = 120_000;
/** A timer that is this late has slept with the computer. */
export const SLEEP_NOTICE_MS = 30_000;

// Tuning: our own

/** Pause before a peer is dialed again who said to try later, or for whom this side was too busy, and what chance adds at most. */
export const BUSY_BACKOFF_MS = 3_000;
/** See {@linkcode BUSY_BACKOFF_MS}. */
export const BUSY_JITTER_MS = 2_000;
/** After so many of these in a row, being busy is a failure like others. */
export const MAX_BUSY = 20;

/**
 * A peer that was connected once is dialed on at this pace after the backoffs, with {@linkcode LOYAL_JITTER_MS} on top: a
 * partition of a few minutes then heals within half a minute, and not with the next lookup.
 */
export const LOYAL_BACKOFF_MS = 20_000;
/** See {@linkcode LOYAL_BACKOFF_MS}. */
export const LOYAL_JITTER_MS = 5_000;
/** After so many failures a peer that was connected once is given up as well: five minutes or so. */
export const MAX_LOYAL_ATTEMPTS = 16;
/**
 * Pauses before the lookups that follow an announcement, each from half to all of it. Who joins at the same moment as others
 * has looked before they had announced: the reference then waits for ten minutes (9 of 30 pairs met within four seconds).
 */
export const EAGER_LOOKUPS_MS: readonly number[] = [120, 400, 1_600];
/** After a wake-up everything is done anew within this, spread by chance. */
export const WAKE_JITTER_MS = 5_000;
/** Pauses after a failed announcement or lookup; the last repeats. */
export const DISCOVERY_BACKOFFS_MS: readonly number[] = [1_000, 5_000, 15_000, 60_000];
/** An announcement or a lookup that takes longer has failed. */
export const DISCOVERY_TIMEOUT_MS = 30_000;
/** How long leaving waits for a discovery to withdraw an announcement. */
export const WITHDRAW_TIMEOUT_MS = 5_000;
/** Connections that strangers may open, by default: at some 45 KB each they stay below 50 MB. */
export const MAX_SERVER_CONNECTIONS = 1_024;
/** Peers that are remembered though they are not connected. */
export const MAX_KNOWN_PEERS = 4_096;
/** Bans that are remembered; the oldest go first. */
export const MAX_BANS = 16_384;
/** Addresses of one peer that are remembered. */
export const MAX_ADDRESSES = 16;
/** Topics that are remembered for one peer. */
export const MAX_PEER_TOPICS = 1_024;
/** How long a firewall may think. */
export const FIREWALL_TIMEOUT_MS = 10_000;
/** Two connections to one peer that begin within this are taken for one race. */
export const RACE_MS = 2_000;
/** Tags in one proof: more topics than that are not proven. */
export const MAX_TAGS = 1_024;
/** The number of tags is padded to a power of two, and at least to this, so that it tells little. */
export const MIN_TAGS = 4;
/** How long a peer may take to prove a topic on which all depends. */
export const PROOF_TIMEOUT_MS = 10_000;
/** Keepalive of idle connections, as in the reference. */
export const KEEP_ALIVE_MS = 5_000;
/** How long a suspension waits for connections that were dropped to be gone. */
export const ABORT_TIMEOUT_MS = 2_000;
/** How long closing waits for peers to end their side, before it drops the connections. */
export const CLOSE_TIMEOUT_MS = 1_000;
/** How long closing waits for announcements to be withdrawn; discoveries go on by themselves. */
export const LEAVE_TIMEOUT_MS = 2_000;

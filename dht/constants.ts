/**
 * Numbers of HyperDHT. The first half is the wire: both sides must agree. The second is tuning: each side decides for itself.
 * Those of hole punching are in `punch/constants.ts`.
 */

// --- Wire (hyperdht 6.34: lib/constants.js, lib/persistent.js, lib/router.js) ---

/** Commands of HyperDHT, on top of those of the DHT below it. */
export const Command = {
  /** A Noise message to a peer, through a node that knows the way to it. */
  PeerHandshake: 0,
  /** A sealed payload of hole punching, the same way. */
  PeerHolepunch: 1,
  /** Who knows the way to a peer? The target is the hash of its key. */
  FindPeer: 2,
  /** Who announced a topic? */
  Lookup: 3,
  /** I am to be found under this target. */
  Announce: 4,
  /** I no longer am. */
  Unannounce: 5,
  /** Keep this signed value. */
  MutablePut: 6,
  /** Return the signed value of a key. */
  MutableGet: 7,
  /** Keep this value under its hash. */
  ImmutablePut: 8,
  /** Return the value of a hash. */
  ImmutableGet: 9,
  /** Something that an extension defines. */
  Plugin: 10,
} as const;

/** Where a handshake or punch message is on its way. */
export const RelayMode = {
  /** From the one who wants to connect, to a relay. */
  FromClient: 0,
  /** From the one who is wanted, back to the relay. */
  FromServer: 1,
  /** From the relay to the one who is wanted. */
  FromRelay: 2,
  /** The same over a second relay. */
  FromSecondRelay: 3,
  /** From a relay back to the one who wants to connect. */
  Reply: 4,
} as const;

/** Error codes of replies, beside those of the DHT below. */
export const ReplyError = {
  /** Another value was put with the same sequence number. */
  SeqReused: 16,
  /** A newer value is known. */
  SeqTooLow: 17,
  /** The value is longer than this node keeps. Hypha's own; others just see that the node refused. */
  ValueTooLarge: 18,
} as const;

/** The name that separates the DHT's hashes and signatures from others; ids are command numbers. */
export const NAMESPACE = "hyperswarm/dht";
/** Version of the payload in the Noise messages. */
export const HANDSHAKE_VERSION = 1;
/** Peers in a reply to a lookup at the most. */
export const MAX_LOOKUP_PEERS = 20;
/** Relays of one announced peer that are kept. */
export const MAX_RECORD_RELAYS = 3;
/** How far in the future a bump may lie, in milliseconds. */
export const MAX_BUMP_DRIFT_MS = 60_000;
/** Nodes that the public network can be entered through, as `address@name:port`. */
export const BOOTSTRAP_NODES: readonly string[] = [
  "88.99.3.86@node1.hyperdht.org:49737",
  "142.93.90.113@node2.hyperdht.org:49737",
  "138.68.147.8@node3.hyperdht.org:49737",
];
/** The port that a node tries first. */
export const DEFAULT_PORT = 49_737;

// --- Tuning ---

/**
 * Longest value that is stored or put, in bytes: with all that a reply carries besides, the datagram stays below the 1,400 bytes
 * that nearly every path takes. The reference has no limit but the path's.
 */
export const MAX_VALUE_BYTES = 1024;
/** Records of peers, ways to peers, refresh tokens and bumps that a node keeps, of each: the reference's number. */
export const MAX_RECORDS = 65_536;
/** Mutable values that a node keeps, and as many immutable ones: the reference's number. */
export const MAX_VALUES = 32_768;
/** Bytes of all mutable values that a node keeps, and as many of immutable ones: with 512 bytes each, that is all of them. */
export const MAX_VALUE_STORE_BYTES: number = 16 * 2 ** 20;
/** Milliseconds that what was announced is kept: the reference's number. */
export const RECORD_AGE_MS: number = 20 * 60_000;
/** Milliseconds that values are kept: the reference's number. */
export const VALUE_AGE_MS: number = 48 * 3_600_000;
/** Peers whose relays a node remembers: the reference's number. */
export const MAX_RELAY_CACHE = 512;
/** Relays of one peer that are remembered. */
export const MAX_CACHED_RELAYS = 8;
/**
 * One of so many parts of a store may belong to one network of 256 addresses (IPv4 /24): who has only one network cannot push out
 * what others have stored.
 */
export const SUBNET_SHARE = 10;

/** Nodes that a peer announces itself to, so that they relay to it: the reference's number. */
export const ANNOUNCE_NODES = 3;
/** Milliseconds between two pings of these nodes: the reference's number, for NATs that forget fast. */
export const ANNOUNCE_PING_MS = 3000;
/** Milliseconds until a peer looks for its nodes again although all is well: the reference's number. */
export const ANNOUNCE_MS: number = 100 * ANNOUNCE_PING_MS;
/** Milliseconds until the next try after one that nobody took; they double with each of them. */
export const MIN_ANNOUNCE_BACKOFF_MS = 3000;
/** The longest of these pauses, in milliseconds. */
export const MAX_ANNOUNCE_BACKOFF_MS = 60_000;
/** Milliseconds until a topic is announced again, at the least: the reference's number (hyperswarm 4.17, lib/peer-discovery.js). */
export const TOPIC_REFRESH_MS: number = 10 * 60_000;
/** Up to so many more, drawn anew each time: the reference's number. */
export const TOPIC_JITTER_MS: number = 2 * 60_000;
/** Different peers that one lookup of a topic hands out. */
export const MAX_FOUND_PEERS = 4096;

/** Milliseconds after which an idle connection shows that it is alive: the reference's number. */
export const KEEP_ALIVE_MS = 5000;

/** Milliseconds that a plug-in has for an answer: who asked sends the request again after about as long. */
export const PLUGIN_TIMEOUT_MS = 1000;
/** Calls of one plug-in that are under way at once. */
export const MAX_PLUGIN_CALLS = 64;
/** Of these, calls in the name of one host. */
export const MAX_PLUGIN_CALLS_PER_HOST = 8;
/** Longest reply of a plug-in, in bytes: as with {@linkcode MAX_VALUE_BYTES}. */
export const MAX_PLUGIN_REPLY_BYTES = 1024;
/** Failures in a row after which a plug-in is not asked for {@linkcode PLUGIN_PENALTY_MS}. */
export const MAX_PLUGIN_FAILURES = 16;
/** Milliseconds that a failing plug-in is left alone. */
export const PLUGIN_PENALTY_MS = 30_000;
/** Plug-ins of a node. */
export const MAX_PLUGINS = 64;

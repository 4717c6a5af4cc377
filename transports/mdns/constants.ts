/**
 * The numbers of mDNS: what the RFCs fix, what hypha fixes for its service, and what may be tuned.
 */

// Wire: RFC 1035, RFC 6762 (multicast DNS), RFC 6763 (service discovery).

/** The port of multicast DNS (RFC 6762 section 3). */
export const MDNS_PORT = 5353;
/** The groups of multicast DNS on a link (RFC 6762 section 3). */
export const GROUP: Readonly<Record<4 | 6, string>> = { 4: "224.0.0.251", 6: "ff02::fb" };
/** Hops that a message is sent with (RFC 6762 section 11). */
export const MULTICAST_TTL = 255;
/** The longest message that is read (RFC 6762 section 17). */
export const MAX_MESSAGE_BYTES = 9000;
/** The longest label and the longest name on the wire (RFC 1035 section 2.3.4). */
export const MAX_LABEL_BYTES = 63;
export const MAX_NAME_BYTES = 255;

/** Types of resource records (RFC 1035 section 3.2.2, RFC 3596, RFC 2782). */
export const TYPE = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, ANY: 255 } as const;
/** The class of the internet (RFC 1035 section 3.2.4). */
export const CLASS_IN = 1;
/** In the class of a record: older records of the name are void; in that of a question: answer by unicast. */
export const TOP_BIT = 0x8000;
/** Flags of a header: a response, an authoritative answer, more known answers follow. */
export const FLAG_RESPONSE = 0x8000;
export const FLAG_AUTHORITATIVE = 0x0400;
export const FLAG_TRUNCATED = 0x0200;
/** Opcode and response code, which must be 0 (RFC 6762 sections 18.3 and 18.11). */
export const FLAGS_UNUSUAL = 0x780f;

/** The type of hypha's service. A peer's instance of it is called as its key in z-base-32. */
export const SERVICE = "_hypha._udp.local";
/** The domain of host names. */
export const DOMAIN = "local";
/** The version that the text record of a peer carries. */
export const VERSION = "v=1";
/** Bytes of a public key and of a topic. */
export const KEY_BYTES = 32;

// Tuning: limits on what a stranger can make grow, and timing. Where a number differs from the RFC's advice it says why.

/** The longest message that is written: with the headers of IPv6 and UDP it fits every Ethernet and most tunnels. */
export const MAX_SENT_BYTES = 1352;
/** Questions and records of one message that are looked at; what comes behind is not. */
export const MAX_QUESTIONS = 32;
export const MAX_RECORDS = 256;
/** Addresses of one peer from one sender, and the length of one, in bytes. */
export const MAX_ADDRESSES = 8;
export const MAX_ADDRESS_BYTES = 112;
/** Peers that are remembered, in all and for one sender's address: several programs share a host, floods do not. */
export const MAX_PEERS = 1024;
export const MAX_PEERS_OF_SENDER = 32;
/** Senders' addresses that one peer is remembered at: a host with two interfaces and both families has four. */
export const MAX_SIGHTINGS = 4;
/** Interfaces that are used at once. */
export const MAX_INTERFACES = 16;
/** Identities that one instance announces. */
export const MAX_ANNOUNCED = 32;

/**
 * How long a record holds, in seconds: the RFC's number for records of hosts. Its 75 minutes for services would keep a peer
 * that died without a farewell for as long.
 */
export const TTL_S = 120;
/** The longest time for which a record of others is believed, in seconds: the RFC's longest. */
export const MAX_TTL_S = 4500;
/** How long a record is kept after its farewell, in milliseconds (RFC 6762 section 10.1). */
export const FAREWELL_MS = 1000;
/** The delay of a first question and of an answer: long enough to be spread, in milliseconds (sections 5.2 and 6). */
export const MIN_DELAY_MS = 20;
export const MAX_DELAY_MS = 120;
/** The delay of an answer to a question whose known answers are still coming (section 7.2). */
export const MIN_TRUNCATED_DELAY_MS = 400;
export const MAX_TRUNCATED_DELAY_MS = 500;
/**
 * The pause between two messages with the same record, in milliseconds. The RFC wants a second, and 250 ms where somebody
 * waits (section 6): a newcomer does, and a second is all the time that two peers may need to meet.
 */
export const MIN_REPEAT_MS = 250;
/** Moments after an announcement at which it is repeated, in milliseconds (section 8.3 wants two to eight, a second apart). */
export const ANNOUNCE_AGAIN_MS: readonly number[] = [1000, 2000];
/** The first and the longest pause between questions, doubling in between, in milliseconds (section 5.2). */
export const MIN_QUERY_INTERVAL_MS = 1000;
export const MAX_QUERY_INTERVAL_MS = 3_600_000;
/** A question of somebody else saves an own one that is due within this time, in milliseconds (section 7.3). */
export const SAVED_QUERY_MS = 200;
/** Ages at which a record is asked for again, as parts of 100 of its time to live (section 5.2). */
export const REFRESH_AT: readonly number[] = [80, 85, 90, 95];

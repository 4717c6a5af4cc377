/** Numbers of connecting and of being connected to. All are tuning: each side decides for itself. */

/** Handshakes of one dial that are out at once: the reference's number. */
export const PARALLEL_HANDSHAKES = 2;
/** The same as long as relays are tried that were known before: the reference's number. */
export const PARALLEL_KNOWN_HANDSHAKES = 3;
/** Resends of a handshake or a round. The reference's is 3, of which each takes a second. */
export const HANDSHAKE_RETRIES = 7;
/**
 * Milliseconds until a handshake or a round is sent again. It crosses four links there and back, so that every fifth is lost where
 * one packet in twenty is; a copy that was not necessary costs 200 bytes, and is answered with the same bytes.
 */
export const HANDSHAKE_TRY_MS = 400;
/** Resends of FIND_PEER: the reference's number. */
export const FIND_RETRIES = 3;
/** Relays that one dial tries at the most, whoever names them. */
export const MAX_CANDIDATES = 32;
/** Milliseconds that a way which worked before, or relays that are known, get before others are looked for as well. */
export const KNOWN_HEAD_START_MS = 250;
/** Milliseconds without any answer of anybody after which a dial is given up: no UDP gets through. */
export const NO_ANSWER_MS = 1800;
/** Milliseconds for the whole search: longer than all resends of a few relays in a row. */
export const FIND_TIMEOUT_MS = 20_000;
/** Milliseconds that a peer which others reach waits for one that they do not, and the other way round: the reference's number. */
export const PASSIVE_TIMEOUT_MS = 10_000;
/** Milliseconds that the chosen path gets to show that the peer is there before another is looked for as well. */
export const CONFIRM_MS = 1500;
/** Milliseconds that a peer gets in all, from the first chosen path on, to show that it is there. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Milliseconds for meeting the peer at a blind relay, from dialing the relay on: the reference's number. */
export const RELAY_MEETING_MS = 15_000;
/** Relays that a node's servers dial at a time because a peer has named them, or for a peer that has not proven itself. */
export const MAX_RELAY_DIALS = 32;
/** Of these, dials for peers of one address. */
export const MAX_RELAY_DIALS_PER_HOST = 4;

/** Milliseconds without an answer that a connection lives whose peers can find each other again: longer than a tunnel or a lift. */
export const MOBILE_PATIENCE_MS = 30_000;
/** Milliseconds after a change of the network until a path that is still silent is looked for anew. */
export const PATH_CHECK_MS = 1000;
/** Milliseconds between attempts to find a new path for a connection; the last of them again and again. */
export const REDIAL_PAUSES_MS: readonly number[] = [250, 500, 1000, 2000];
/** New paths that one node looks for at a time: when its network changes, all its connections want one. */
export const MAX_REDIALS = 16;

/** Milliseconds that a handshake is remembered after its use, so that it is not answered a second time: the reference's number. */
export const CLEAR_WAIT_MS = 10_000;
/** Milliseconds that a dialing peer gets until its first packet: the reference's number. */
export const ACCEPT_TIMEOUT_MS = 10_000;
/**
 * Attempts of a node that wait for their peer to prove itself, remembered ones included. A new one takes the place of the oldest
 * whose peer has shown no sign of life.
 */
export const MAX_ATTEMPTS = 4096;
/** Of these, attempts in the name of one address. */
export const MAX_ATTEMPTS_PER_HOST = 256;
/** Of these, attempts that one relay has passed on. */
export const MAX_ATTEMPTS_PER_RELAY = 2048;
/**
 * New handshakes that are looked into within a second, from all sides: each costs four scalar multiplications, some 0.4 ms. Of a
 * flood of 2,000 a second every fourth gets through, and with its resends over several relays nearly every honest dial.
 */
export const MAX_HANDSHAKES_PER_SECOND = 512;
/** Of these, those of one address. */
export const MAX_HANDSHAKES_PER_HOST = 64;
/** Of these, those that one relay passes on: three honest relays that are flooded leave some for a fourth. */
export const MAX_HANDSHAKES_PER_RELAY = 128;
/** Addresses whose handshakes are counted; beyond, all others share one count. */
export const MAX_COUNTED_HOSTS = 4096;
/** Copies of one handshake, over several relays or again, that wait for the same answer. */
export const MAX_COPIES = 8;
/**
 * When a server knocks at the door of a dialing peer that says that it can be reached, in milliseconds from the answer. The first
 * {@linkcode GREETINGS} knocks are packets of 79 bytes with the header of the stream, later ones of 20 bytes, so that all of them
 * and the answer stay below three times the first message.
 */
export const KNOCK_SCHEDULE_MS: readonly number[] = [0, 50, 150, 350, 750, 1500, 3000, 6000];
/** How often a server sends its stream's header to a peer that has not sent a packet yet, with knocks or with punches. */
export const GREETINGS = 3;
/** Events of one attempt that its trace keeps. */
export const TRACE_EVENTS = 128;

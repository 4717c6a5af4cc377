/**
 * Numbers of hole punching. The first half is the wire: both sides must agree. The second is tuning: each side decides for
 * itself.
 */

// --- Wire (hyperdht 6.34: lib/constants.js, lib/holepuncher.js, lib/messages.js) ---

/** What a peer says about the NAT in front of it. A number above `Random` counts as `Random`. */
export const Firewall = {
  /** Not found out yet. */
  Unknown: 0,
  /** Anybody can send to it. */
  Open: 1,
  /** All remotes see the same address and port. */
  Consistent: 2,
  /** Each remote sees another port. */
  Random: 3,
} as const;

/** Why a payload of a handshake or of a punch says no. */
export const PayloadError = {
  /** It does not say no. */
  None: 0,
  /** Gives up. */
  Aborted: 1,
  /** The version of the handshake payload is not known. */
  VersionMismatch: 2,
  /** Too busy to punch at random ports just now. */
  TryLater: 3,
} as const;

/** The datagram that makes a hole: one byte, 0. Receivers go by the length alone. */
export const PUNCH_BYTES = 1;
/** Bytes of a token. */
export const TOKEN_BYTES = 32;
/** Bytes of the secret that seals punch payloads. */
export const PUNCH_SECRET_BYTES = 32;

// --- Tuning ---

/** Hops that a punch lives which is only to open the sender's own NAT: enough for a home and a carrier's router. */
export const LOW_TTL = 5;
/**
 * Hops of a punch that must not arrive, however near the other side is: it opens a home router, and not a carrier's behind that.
 */
export const LEAST_TTL = 2;
/** Hops of a punch that is to arrive; 0 leaves it to the socket. */
export const FULL_TTL = 0;

/** Addresses of one payload that are looked at. A peer has one, or two on a line with several carriers. */
export const MAX_ADDRESSES = 4;
/** Different hosts to which one peer may make us send during one connection attempt. */
export const MAX_HOSTS = 4;
/** Different addresses to which one peer may make us send during one connection attempt, over all its payloads. */
export const MAX_TARGETS = 12;

/** Samples without which nothing is said about a NAT: the reference's number. */
export const JUDGED_SAMPLES = 3;
/** Samples that decide about a NAT: the reference's number. */
export const MIN_SAMPLES = 4;
/** Nodes that are asked at a time: with {@linkcode MIN_SAMPLES} one lost packet would cost a second. */
export const SAMPLES_WANTED = 6;
/** Samples that are remembered for one socket; later ones change nothing that matters. */
export const MAX_SAMPLES = 16;

/**
 * When punches go to a peer of a consistent NAT, in milliseconds from the start. The reference sends one a second, so that one
 * lost packet costs a second; four in the first 400 ms cost as many bytes as one round through a relay.
 */
export const CONSISTENT_SCHEDULE_MS: readonly number[] = [
  ...[0, 20, 70, 170, 370, 870, 1370, 1870, 2870, 3870, 4870, 5870, 6870, 7870, 8870, 9870],
];
/** Every that many punches one goes to addresses too that nobody has verified: the reference's number. */
export const UNVERIFIED_EVERY = 4;
/**
 * Milliseconds, at least and at most, after which a punch between consistent NATs is taken for poisoned and tried from a fresh
 * socket: four times what a round through the relays takes, in which a punch that arrives at all has arrived.
 */
export const RETRY_AFTER_MS: readonly [number, number] = [600, 1500];
/** See {@linkcode RETRY_AFTER_MS}. */
export const RETRY_AFTER_ROUNDS = 4;
/** Milliseconds that a fresh socket gets to learn its address after that. */
export const RETRY_SAMPLING_MS = 1000;
/**
 * Milliseconds that the side that was told of a fresh socket waits, with one of its own, for the first punch of the other, which
 * is on its way as soon as the answer is there. Its own would only disturb, should they arrive before that.
 */
export const RETRY_HEAD_START_MS = 300;
/** Fresh sockets that are tried after a punch that did not get through, on either side. */
export const MAX_RETRIES = 2;
/** Fresh sockets that are tried while the NAT gives no clear picture: the reference's number. */
export const MAX_REROLLS = 3;
/** Milliseconds after which a punch between consistent NATs is given up. */
export const CONSISTENT_TIMEOUT_MS = 10_000;

/** Sockets of the side whose NAT is random: the birthday paradox. 256 of 64,512 ports are hit once in 252 tries. */
export const BIRTHDAY_SOCKETS = 256;
/** Lowest port that is guessed: what NATs hand out begins here (RFC 4787 REQ-3 keeps well-known ports apart). */
export const FIRST_RANDOM_PORT = 1024;
/** Guesses of the other side; the reference makes 1,750. 1 in 2,800 attempts then has no hit. */
export const RANDOM_PROBES = 2000;
/**
 * Guesses that go out fast, and the milliseconds between them. The reference makes 50 a second; its median is 2.4 s and its worst
 * case 33 s. 500 a second (15 kB/s) have a median of 0.35 s and hit with 99.7 % within 3 s.
 */
export const FAST_PROBES = 1500;
/** See {@linkcode FAST_PROBES}. */
export const FAST_PROBE_MS = 2;
/** Milliseconds between later guesses, and between the packets that keep the birthday sockets open: the reference's number. */
export const SLOW_PROBE_MS = 20;
/** Milliseconds between the first packets of the birthday sockets: 256 of them within a quarter of a second. */
export const OPEN_SOCKET_MS = 1;
/** Milliseconds that guessing waits when the other side has yet to open its sockets, so that fewer guesses are for nothing. */
export const GUESS_DELAY_MS = 200;
/**
 * Milliseconds after which the birthday sockets are replaced by fresh ones, whose first packets are to arrive. By then the other
 * side has made its fast guesses, and its router lets in what comes from a guessed port: the paradox works the other way round,
 * also through routers that are confused by packets which came too early. The second time is for when our answer was lost for
 * seconds.
 */
export const RENEW_SOCKETS_MS: readonly number[] = [3300, 10_000];
/** Rounds over the birthday sockets, once they are open, with {@linkcode LOW_TTL}; later ones are to arrive, in case 5 hops do not
 * leave the NAT. */
export const LOW_TTL_ROUNDS = 1;
/** Milliseconds after which punching at random ports is given up. */
export const RANDOM_TIMEOUT_MS = 35_000;
/** Least milliseconds between two punches at random ports of one node: the reference's number. */
export const RANDOM_INTERVAL_MS = 20_000;
/**
 * The same after one that has come to a connection. It took a second, not thirty: whoever is behind such a NAT meets the peers of a
 * swarm in half a minute then, and not in minutes.
 */
export const RANDOM_PAUSE_MS = 4000;
/** Punches at random ports of one node at a time: the reference's number. */
export const MAX_RANDOM_PUNCHES = 1;

/** Milliseconds that a peer gets which does not know its NAT yet. */
export const UNKNOWN_REMOTE_WAIT_MS = 1000;
/** Milliseconds that an analysis may take; pings of the DHT have been answered or given up by then. */
export const ANALYSIS_TIMEOUT_MS = 2500;
/** Milliseconds without a word from the initiator after which the other side gives up: the reference's number. */
export const SILENCE_TIMEOUT_MS = 10_000;
/** Milliseconds, at least and at most, until a peer is asked again which said to try later: the reference's numbers. */
export const TRY_LATER_MS: readonly [number, number] = [10_000, 20_000];
/** Times that a peer is asked again. */
export const MAX_TRY_LATERS = 6;
/** Milliseconds that a punch from a host that the peer did not name waits for one that it did. */
export const STRAY_WAIT_MS = 1000;
/**
 * Milliseconds after a punch came in, or after the initiator says that it has opened its NAT, at which it is answered: three
 * times, because on a guessed port there is no other chance, and a lost answer costs a round through the relays.
 */
export const ECHO_SCHEDULE_MS: readonly number[] = [0, 40, 120];
/** Punches that are answered within a second, whoever sent them: the address that they came from may be forged. */
export const MAX_ECHOES_PER_SECOND = 10;
/** Requests of the initiator that are answered for one attempt, repetitions included. */
export const MAX_REQUESTS = 32;

/** Milliseconds that a socket stays open for reuse: the reference's number. */
export const LINGER_MS = 3000;
/** Sockets for punching of this node's own dials that are not open yet: a quarter of what a process may often open. */
export const MAX_DIAL_SOCKETS = 256;
/** Sockets for punching that all half-open connections of peers that dial share, birthday sockets apart. */
export const MAX_HALF_OPEN_SOCKETS = 32;
/** Attempts of one peer's key that wait on them. */
export const MAX_SOCKETS_PER_KEY = 4;
/** Attempts of peers at one address that wait on them. */
export const MAX_SOCKETS_PER_HOST = 16;

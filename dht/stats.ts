/** Counters of a node of HyperDHT, since it was made; those of its requests are in `rpc.stats`. */

/** See the head of the file. */
export class DhtStats {
  /** Ways in which peers were reached. */
  readonly punches: {
    /** Both sides behind NATs that use one port for all. */
    consistent: number;
    /** One side behind a NAT that uses a port for each. */
    random: number;
    /** No punch was necessary. */
    open: number;
    /** A side was too busy to punch at random ports. */
    tryLater: number;
  } = { consistent: 0, random: 0, open: 0, tryLater: 0 };
  /** Connections through a blind relay. */
  readonly relaying: { attempts: number; successes: number; aborts: number } = {
    attempts: 0,
    successes: 0,
    aborts: 0,
  };
  /** Requests of others for records and plug-ins. */
  readonly served: {
    /** Answered. */
    records: number;
    /** Invalid, so not answered. */
    ignored: number;
    /** Answered by a plug-in. */
    plugins: number;
    /** Calls of plug-ins that threw, took too long, or answered too much. */
    pluginFailures: number;
    /** Requests for a plug-in that had too many of them under way. */
    pluginOverloads: number;
  } = { records: 0, ignored: 0, plugins: 0, pluginFailures: 0, pluginOverloads: 0 };
  /** Announcements of this node under its own keys. */
  readonly announcing: {
    /** Rounds. */
    rounds: number;
    /** Nodes that took one. */
    announced: number;
    /** Nodes that were told goodbye. */
    unannounced: number;
    /** Nodes that did not answer, so that new ones were looked for. */
    lostRelays: number;
    /** Nodes that were asked whether they still answer. */
    pings: number;
  } = { rounds: 0, announced: 0, unannounced: 0, lostRelays: 0, pings: 0 };
}

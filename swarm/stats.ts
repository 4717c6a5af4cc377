/** What a swarm counts. */

/** Counters of a swarm, since it was made. */
export interface SwarmStats {
  /** `update` events. */
  readonly updates: number;
  /** Connections by who dialed. */
  readonly connects: {
    /** Dialed by this side. */
    readonly client: {
      /** Dials that began. */
      readonly attempted: number;
      /** Dials that failed. */
      readonly failed: number;
      /** Connections that came of it. */
      readonly opened: number;
      /** Connections that are gone again. */
      readonly closed: number;
    };
    /** Dialed by others. */
    readonly server: {
      /** Connections that were admitted. */
      readonly opened: number;
      /** Connections that are gone again. */
      readonly closed: number;
      /** Connections that were turned away because of the limit, the firewall or a suspension. */
      readonly refused: number;
    };
  };
  /** Connections that gave way to another one to the same peer. */
  readonly duplicates: number;
  /** Connections that were closed because the peer did not prove a topic that it needs. */
  readonly unproven: number;
  /** Bans. */
  readonly bannedPeers: number;
  /** Peers that were found and not remembered, because there were too many. */
  readonly droppedPeers: number;
  /** Lookups that came to their end, and that failed. */
  readonly lookups: { readonly done: number; readonly failed: number };
  /** Announcements that were placed, and that failed. */
  readonly announcements: { readonly done: number; readonly failed: number };
}

/** `T` without any `readonly`. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends object ? Mutable<T[Key]> : T[Key] };

/** {@linkcode SwarmStats} as the swarm writes it. */
export type SwarmCounters = Mutable<SwarmStats>;

/** All zero. */
export function newCounters(): SwarmCounters {
  return {
    updates: 0,
    connects: {
      client: { attempted: 0, failed: 0, opened: 0, closed: 0 },
      server: { opened: 0, closed: 0, refused: 0 },
    },
    duplicates: 0,
    unproven: 0,
    bannedPeers: 0,
    droppedPeers: 0,
    lookups: { done: 0, failed: 0 },
    announcements: { done: 0, failed: 0 },
  };
}

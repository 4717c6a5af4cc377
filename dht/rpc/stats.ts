/** Counters of a node, since it was made. */
import { Command } from "./constants.ts";

/** How often a command of the protocol was asked and answered. */
export interface CommandCount {
  /** Requests of this node. */
  sent: number;
  /** Answers to them. */
  answered: number;
}

/** See the head of the file. */
export class RpcStats {
  /** Queries. */
  readonly queries: { active: number; total: number } = { active: 0, total: 0 };
  /** Requests of this node; `retries` counts datagrams, all others requests. */
  readonly requests: { active: number; total: number; replies: number; timeouts: number; retries: number } = {
    active: 0,
    total: 0,
    replies: 0,
    timeouts: 0,
    retries: 0,
  };
  /** Commands of the protocol itself. */
  readonly commands: {
    readonly ping: CommandCount;
    readonly pingNat: CommandCount;
    readonly findNode: CommandCount;
    readonly downHint: CommandCount;
    readonly delayedPing: CommandCount;
  } = {
    ping: { sent: 0, answered: 0 },
    pingNat: { sent: 0, answered: 0 },
    findNode: { sent: 0, answered: 0 },
    downHint: { sent: 0, answered: 0 },
    delayedPing: { sent: 0, answered: 0 },
  };
  /** What strangers sent. */
  readonly received: {
    /** Requests that were looked at. */
    requests: number;
    /** Datagrams that are no messages. */
    undecodable: number;
    /** Replies that nobody waits for, or that came from elsewhere than the node that was asked. */
    strays: number;
    /** Requests of sources that sent too many. */
    floods: number;
    /** Replies that were made shorter, because their source is unproven and had its share. */
    shortened: number;
    /** Replies that were not sent for the same reason. */
    withheld: number;
    /** Messages to third parties that were not sent: too many, too late, or to whom nobody asked for it. */
    refusedForwards: number;
  } = { requests: 0, undecodable: 0, strays: 0, floods: 0, shortened: 0, withheld: 0, refusedForwards: 0 };

  /** Counts a request of this node. */
  countSent(command: number): void {
    const count = this.#command(command);
    if (count !== undefined) count.sent++;
  }

  /** Counts an answer to one. */
  countAnswered(command: number): void {
    const count = this.#command(command);
    if (count !== undefined) count.answered++;
  }

  #command(command: number): CommandCount | undefined {
    const { ping, pingNat, findNode, downHint, delayedPing } = this.commands;
    switch (command) {
      case Command.Ping:
        return ping;
      case Command.PingNat:
        return pingNat;
      case Command.FindNode:
        return findNode;
      case Command.DownHint:
        return downHint;
      case Command.DelayedPing:
        return delayedPing;
      default:
        return undefined;
    }
  }
}

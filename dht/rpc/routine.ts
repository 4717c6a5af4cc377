/**
 * What a node does unasked, and when: judges the network, pings who was not heard of for long, refreshes the table, tries to become
 * persistent, has the table stored, notices that the host has slept.
 *
 * Source of the times: dht-rpc 6.27.0, index.js, which counts them in ticks of five seconds.
 */
import {
  LONELY_MS,
  MORE_STABLE_MS,
  PING_OLDEST_MS,
  REFRESH_MS,
  SAVE_MS,
  SLEEP_MS,
  STABLE_MS,
  TICK_MS,
} from "./constants.ts";
import type { RpcContext } from "./context.ts";
import { Alarm } from "./due.ts";
import { type Health, NetworkHealth } from "./health.ts";
import type { NetworkState } from "./network_state.ts";
import type { TableKeeper } from "./table_keeper.ts";

/** What the routine needs of the node. */
export interface RoutineHost extends RpcContext {
  /** Who is known. */
  readonly keeper: TableKeeper;
  /** Address, firewall, role. */
  readonly state: NetworkState;
  /** Looks for nodes near a known one. */
  refresh(now: number): void;
}

/** See the head of the file. */
export class Routine {
  readonly #host: RoutineHost;
  readonly #health = new NetworkHealth();
  readonly #tick: Alarm;
  readonly #pingOldest: Alarm;
  readonly #refresh: Alarm;
  readonly #stable: Alarm;
  readonly #save: Alarm;
  #isRunning = false;
  #lastTick = 0;
  #downHints = 0;
  /** Milliseconds until the next look for the bootstrap nodes, while nobody is known. */
  #lonelyMs = LONELY_MS;

  /** Does nothing before {@linkcode start}. */
  constructor(host: RoutineHost) {
    this.#host = host;
    const alarm = (onDue: (now: number) => void) => new Alarm(host.deadlines, onDue);
    this.#tick = alarm((now) => this.#onTick(now));
    this.#pingOldest = alarm((now) => this.#onPingOldest(now));
    this.#refresh = alarm((now) => host.refresh(now));
    this.#stable = alarm((now) => this.#onStable(now));
    this.#save = alarm((now) => this.#onSave(now));
  }

  /** Whether the network works. */
  get health(): Health {
    return this.#health.health;
  }

  /** Begins. */
  start(now: number): void {
    // Not all nodes that start together should do everything together.
    const spread = (ms: number) => now + ms / 2 + this.#host.random.below(Math.ceil(ms / 2));
    this.#isRunning = true;
    this.#lastTick = now;
    this.#tick.set(now + TICK_MS);
    this.#pingOldest.set(spread(PING_OLDEST_MS));
    this.#refresh.set(spread(REFRESH_MS));
    this.#save.set(spread(SAVE_MS));
    if (this.#host.config.isAdaptive) this.#stable.set(now + STABLE_MS);
  }

  /** Ends. */
  stop(): void {
    this.#isRunning = false;
    for (const alarm of [this.#tick, this.#pingOldest, this.#refresh, this.#stable, this.#save]) {
      alarm.cancel();
    }
  }

  /** The first look around is over. */
  onJoined(now: number): void {
    const { keeper, config } = this.#host;
    if (this.#isRunning && keeper.size === 0 && config.bootstrap.length > 0) this.#onPingOldest(now);
  }

  /** The table is being refreshed by something else. */
  postponeRefresh(now: number): void {
    if (this.#isRunning) this.#refresh.set(now + REFRESH_MS);
  }

  /** Whether one more down hint may be sent in this tick; counts it if so. */
  mayHintDown(): boolean {
    if (this.#downHints >= this.#host.config.downHintsPerTick) return false;
    this.#downHints++;
    return true;
  }

  /** The host has slept: nothing that was known is sure any more. */
  wakeUp(now: number): void {
    const { keeper, state, config } = this.#host;
    this.#lastTick = now;
    keeper.age(now);
    state.forgetTest();
    this.#tick.set(now + TICK_MS);
    // a little later: the network wakes up as well
    this.#refresh.set(now + TICK_MS);
    this.#pingOldest.set(now + 2 * TICK_MS);
    if (this.#health.reset()) this.#host.emit({ type: "health", health: "online" });
    if (config.isAdaptive) {
      this.#stable.set(now + MORE_STABLE_MS);
      state.demote();
    }
    this.#host.emit({ type: "wakeup" });
  }

  #onTick(now: number): void {
    if (now - this.#lastTick > SLEEP_MS) {
      this.wakeUp(now);
      return;
    }
    this.#lastTick = now;
    this.#tick.set(now + TICK_MS);
    this.#downHints = 0;
    const { stats, config, state, keeper } = this.#host;
    const { replies, timeouts } = stats.requests;
    if (this.#health.update(replies, timeouts)) this.#host.emit({ type: "health", health: this.health });
    // The first node of a network learns its address only from those that come after it.
    const isOverdue = config.isForcedPersistent && state.isEphemeral && keeper.isSettled;
    if (isOverdue && !state.wasTested) state.update(now, false, () => {});
  }

  #onPingOldest(now: number): void {
    this.#pingOldest.set(now + PING_OLDEST_MS);
    const { keeper } = this.#host;
    if (!keeper.isSettled) return;
    if (keeper.size > 0) {
      this.#lonelyMs = LONELY_MS;
      keeper.pingOldest(now);
      return;
    }
    this.#host.refresh(now);
    this.#pingOldest.set(now + this.#lonelyMs);
    this.#lonelyMs = Math.min(2 * this.#lonelyMs, PING_OLDEST_MS);
  }

  #onStable(now: number): void {
    this.#stable.set(now + MORE_STABLE_MS);
    const { keeper, state } = this.#host;
    if (keeper.isSettled && !state.wasTested) state.update(now, false, () => {});
  }

  #onSave(now: number): void {
    this.#save.set(now + SAVE_MS);
    this.#host.emit({ type: "save" });
  }
}

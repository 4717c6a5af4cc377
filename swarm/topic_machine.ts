/**
 * When a topic is announced and looked for, at one discovery: a machine that is told the time and what came of its wishes.
 *
 * An announcement stands until it is withdrawn. Lookups repeat at a slow pace, and a few times soon after a start, after an
 * announcement and after a change of the network, because others may have begun at the same moment.
 */
import type { Machine } from "../core/runtime/machine.ts";
import type { Random } from "../core/runtime/runtime.ts";
import {
  DISCOVERY_BACKOFFS_MS,
  DISCOVERY_TIMEOUT_MS,
  EAGER_LOOKUPS_MS,
  REFRESH_JITTER_MS,
  REFRESH_MS,
  SLEEP_NOTICE_MS,
  WAKE_JITTER_MS,
} from "./constants.ts";

/** What this side is under a topic. */
export interface TopicRoles {
  /** Whether it announces itself. */
  readonly isServer: boolean;
  /** Whether it looks for others. */
  readonly isClient: boolean;
}

/** What the machine wants done. `id` is to be handed back; what has another id by then is over. */
export type TopicEvent =
  | { readonly type: "announce" | "lookup"; readonly id: number }
  /** Give up what is under way. */
  | { readonly type: "cancelLookup" }
  /** Withdraw the announcement, or give it up if it is under way. */
  | { readonly type: "withdraw" };

/** One of the two things that the machine has done: announcing, or looking. */
class Task {
  /** When it begins, or when it has taken too long. */
  deadline = Infinity;
  /** The one under way, or 0. */
  id = 0;
  failures = 0;
  /** Whether it ended once, well or not, since the last change. */
  isTried = false;

  stop(): void {
    this.deadline = Infinity;
    this.id = 0;
    this.failures = 0;
  }
}

/** See the head of the file. Asleep until {@linkcode setRoles}. */
export class TopicMachine implements Machine<TopicEvent> {
  readonly #random: Random;
  readonly #events: TopicEvent[] = [];
  readonly #announcing = new Task();
  readonly #looking = new Task();
  #roles: TopicRoles = { isServer: false, isClient: false };
  #isAnnounced = false;
  #isSuspended = false;
  #eagerLeft = 0;
  #lastId = 0;
  /** Notices sleep where nothing else is due. */
  #tickAt = Infinity;

  /** A machine that draws its jitter from `random`. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether the announcement stands. */
  get isAnnounced(): boolean {
    return this.#isAnnounced;
  }

  /** Whether everything that the roles ask for was done, or failed, once since the last change. */
  get isFlushed(): boolean {
    if (this.#isSuspended) return true;
    return (!this.#roles.isServer || this.#announcing.isTried) &&
      (!this.#roles.isClient || this.#looking.isTried);
  }

  /** Takes on other roles. */
  setRoles(now: number, roles: TopicRoles): void {
    const before = this.#roles;
    if (before.isServer === roles.isServer && before.isClient === roles.isClient) return;
    this.#roles = roles;
    if (this.#isSuspended) return;
    if (!roles.isServer) this.#withdraw();
    else if (!before.isServer) this.#startAnnouncing(now);
    if (!roles.isClient) this.#stopLooking();
    else this.#startLooking(now);
    this.#tick(now);
  }

  /** Looks again at once, and announces if that had failed. */
  refresh(now: number): void {
    if (this.#isSuspended) return;
    if (this.#roles.isServer && !this.#isAnnounced && this.#announcing.id === 0) this.#startAnnouncing(now);
    if (this.#roles.isClient) this.#startLooking(now);
  }

  /** The network is another one: announces anew and looks again, within `jitterMs`. */
  renew(now: number, jitterMs = 0): void {
    if (this.#isSuspended) return;
    const at = now + this.#random.below(jitterMs + 1);
    if (this.#roles.isServer) {
      this.#withdraw();
      this.#startAnnouncing(at);
    }
    if (this.#roles.isClient) this.#startLooking(at);
    this.#tick(now);
  }

  /** Withdraws the announcement and does nothing until {@linkcode resume}. */
  suspend(): void {
    this.#isSuspended = true;
    this.#withdraw();
    this.#stopLooking();
    this.#tickAt = Infinity;
  }

  /** Goes on as at the start. */
  resume(now: number): void {
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    this.renew(now);
  }

  /** The announcement `id` stands, or has failed. */
  handleAnnounced(now: number, id: number, isDone: boolean): void {
    if (id !== this.#announcing.id) return;
    this.#isAnnounced = isDone;
    this.#end(now, this.#announcing, isDone);
    if (!isDone) return;
    this.#announcing.deadline = Infinity;
    if (!this.#roles.isClient) return;
    this.#eagerLeft = EAGER_LOOKUPS_MS.length;
    if (this.#looking.id === 0) {
      this.#looking.deadline = Math.min(this.#looking.deadline, this.#nextLookup(now));
    }
  }

  /** The lookup `id` has come to its end, or has failed. */
  handleLookedUp(now: number, id: number, isDone: boolean): void {
    if (id !== this.#looking.id) return;
    this.#end(now, this.#looking, isDone);
    if (isDone) this.#looking.deadline = this.#nextLookup(now);
  }

  /** See {@linkcode Machine.handleTimeout}. */
  handleTimeout(now: number): void {
    const due = this.nextTimeout();
    if (now < due) return;
    if (now > due + SLEEP_NOTICE_MS) {
      this.renew(now, WAKE_JITTER_MS);
      return;
    }
    if (now >= this.#tickAt) this.#tick(now);
    if (now >= this.#announcing.deadline) this.#announceOrFail(now);
    if (now >= this.#looking.deadline) this.#lookOrFail(now);
  }

  /** See {@linkcode Machine.nextTimeout}. */
  nextTimeout(): number {
    return Math.min(this.#announcing.deadline, this.#looking.deadline, this.#tickAt);
  }

  /** See {@linkcode Machine.pollEvent}. */
  pollEvent(): TopicEvent | undefined {
    return this.#events.shift();
  }

  #startAnnouncing(at: number): void {
    this.#announcing.stop();
    this.#announcing.isTried = false;
    this.#announcing.deadline = at;
  }

  #startLooking(at: number): void {
    this.#stopLooking();
    this.#looking.isTried = false;
    this.#looking.deadline = at;
    this.#eagerLeft = EAGER_LOOKUPS_MS.length;
  }

  #stopLooking(): void {
    if (this.#looking.id !== 0) this.#events.push({ type: "cancelLookup" });
    this.#looking.stop();
  }

  #withdraw(): void {
    if (this.#isAnnounced || this.#announcing.id !== 0) this.#events.push({ type: "withdraw" });
    this.#isAnnounced = false;
    this.#announcing.stop();
  }

  #announceOrFail(now: number): void {
    if (this.#announcing.id === 0) {
      this.#begin(now, this.#announcing, "announce");
    } else {
      this.#events.push({ type: "withdraw" });
      this.#end(now, this.#announcing, false);
    }
  }

  #lookOrFail(now: number): void {
    if (this.#looking.id === 0) {
      this.#begin(now, this.#looking, "lookup");
    } else {
      this.#events.push({ type: "cancelLookup" });
      this.#end(now, this.#looking, false);
    }
  }

  #begin(now: number, task: Task, type: "announce" | "lookup"): void {
    task.id = ++this.#lastId;
    task.deadline = now + DISCOVERY_TIMEOUT_MS;
    this.#events.push({ type, id: task.id });
  }

  #end(now: number, task: Task, isDone: boolean): void {
    task.id = 0;
    task.isTried = true;
    task.failures = isDone ? 0 : task.failures + 1;
    if (isDone) return;
    const backoff = DISCOVERY_BACKOFFS_MS[task.failures - 1] ?? DISCOVERY_BACKOFFS_MS.at(-1)!;
    task.deadline = now + this.#halfTo(backoff);
  }

  #nextLookup(now: number): number {
    if (this.#eagerLeft === 0) return now + REFRESH_MS + this.#random.below(REFRESH_JITTER_MS + 1);
    return now + this.#halfTo(EAGER_LOOKUPS_MS[EAGER_LOOKUPS_MS.length - this.#eagerLeft--]!);
  }

  /** From half of `ms` to all of it. */
  #halfTo(ms: number): number {
    const half = ms >>> 1;
    return half + this.#random.below(ms - half + 1);
  }

  #tick(now: number): void {
    this.#tickAt = this.#roles.isServer || this.#roles.isClient ? now + REFRESH_MS : Infinity;
  }
}

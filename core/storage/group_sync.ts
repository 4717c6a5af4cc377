/**
 * One sync for all who wait.
 */

/**
 * Runs something slow that covers all that was done before it began, for many callers: those who come while it runs share the
 * next run.
 */
export class GroupSync {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** `sync` is never under way twice. */
  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  /** Settles as a run does that begins not before now. */
  run(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    return this.#next ??= this.#running.then(() => {}, () => {}).then(() => {
      this.#next = undefined;
      return this.#start();
    });
  }

  #start(): Promise<void> {
    const end = () => {
      this.#running = undefined;
    };
    const running = this.#sync().finally(end);
    this.#running = running;
    return running;
  }
}

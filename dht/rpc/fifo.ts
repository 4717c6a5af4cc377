/** What was taken out may take up as many places as what waits, and so many more. */
const MAX_GAP = 256;

/** First in, first out, in constant time: an array that is read from the front and cut now and then. */
export class Fifo<T extends object> {
  #items: T[] = [];
  #next = 0;

  /** How many wait. */
  get length(): number {
    return this.#items.length - this.#next;
  }

  /** Adds one at the end. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first one out. */
  shift(): T | undefined {
    const item = this.#items[this.#next];
    if (item === undefined) {
      this.clear();
      return undefined;
    }
    this.#next++;
    if (this.#next > MAX_GAP && 2 * this.#next > this.#items.length) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    return item;
  }

  /** Throws all away. */
  clear(): void {
    if (this.#items.length > 0) this.#items = [];
    this.#next = 0;
  }
}

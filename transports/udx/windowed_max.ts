/**
 * The greatest value of a sliding window in constant space: Kathleen Nichols' algorithm, as in Linux `lib/win_minmax.c`.
 * Keeps the best, the second best and the third best that came after one another. For a minimum, feed negated values.
 */
export class WindowedMax {
  readonly #window: number;
  // Three (time, value) pairs, unrolled: the best, then the best since it, then the best since that one.
  #t0 = -Infinity;
  #v0: number;
  #t1 = -Infinity;
  #v1: number;
  #t2 = -Infinity;
  #v2: number;

  /** A window of `window` units of whatever time {@linkcode update} is told; `initial` holds until the first update. */
  constructor(window: number, initial: number) {
    this.#window = window;
    this.#v0 = this.#v1 = this.#v2 = initial;
  }

  /** The greatest value of the window. */
  get value(): number {
    return this.#v0;
  }

  /** Forgets all, and starts over with `value` at `time`. */
  reset(time: number, value: number): void {
    this.#t0 = this.#t1 = this.#t2 = time;
    this.#v0 = this.#v1 = this.#v2 = value;
  }

  /** Takes `value` at `time`, which never goes back, and returns the greatest of the window. */
  update(time: number, value: number): number {
    if (value >= this.#v0 || time - this.#t2 > this.#window) {
      this.reset(time, value);
      return value;
    }
    if (value >= this.#v1) {
      this.#t1 = this.#t2 = time;
      this.#v1 = this.#v2 = value;
    } else if (value >= this.#v2) {
      this.#t2 = time;
      this.#v2 = value;
    }
    this.#expire(time, value);
    return this.#v0;
  }

  #expire(time: number, value: number): void {
    const age = time - this.#t0;
    if (age > this.#window) {
      this.#t0 = this.#t1;
      this.#v0 = this.#v1;
      this.#t1 = this.#t2;
      this.#v1 = this.#v2;
      this.#t2 = time;
      this.#v2 = value;
      if (time - this.#t0 > this.#window) {
        this.#t0 = this.#t1;
        this.#v0 = this.#v1;
        this.#t1 = this.#t2;
        this.#v1 = this.#v2;
      }
    } else if (this.#t1 === this.#t0 && age > this.#window / 4) {
      // A quarter has passed without a second best: take one from this quarter.
      this.#t1 = this.#t2 = time;
      this.#v1 = this.#v2 = value;
    } else if (this.#t2 === this.#t1 && age > this.#window / 2) {
      this.#t2 = time;
      this.#v2 = value;
    }
  }
}

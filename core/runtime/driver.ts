/**
 * The one loop: connects a machine to a clock and to a function that sends. The only code in hypha that waits.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import type { DatagramMachine, Transmit } from "./machine.ts";
import type { Clock, Timer } from "./runtime.ts";

/** What a {@linkcode Driver} connects its machine to. */
export interface DriverHooks<Event> {
  /** Sends what `transmit` holds; must not keep the object. */
  send(transmit: Transmit): void;
  /** Takes an event of the machine. May call back into the machine: the turn goes on until all is quiet. */
  onEvent(event: Event): void;
}

/**
 * Drives one {@linkcode DatagramMachine}. Call {@linkcode wake} after each command given to the machine, and
 * {@linkcode handleDatagram} for each datagram; many of either in one turn of the event loop make one pass.
 */
export class Driver<Event> {
  readonly #machine: DatagramMachine<Event>;
  readonly #clock: Clock;
  readonly #hooks: DriverHooks<Event>;
  readonly #transmit: Transmit;
  readonly #timer: Timer;
  #scheduled = false;
  #closed = false;

  /** Connects `machine` to `clock` and `hooks`; `transmit` is the object that the machine fills. */
  constructor(machine: DatagramMachine<Event>, clock: Clock, hooks: DriverHooks<Event>, transmit: Transmit) {
    this.#machine = machine;
    this.#clock = clock;
    this.#hooks = hooks;
    this.#transmit = transmit;
    this.#timer = clock.schedule(Infinity, () => this.#onTimeout());
  }

  /** Hands a datagram to the machine; what it answers goes out at the end of the turn. */
  handleDatagram(datagram: Uint8Array, from: SocketAddress): void {
    if (this.#closed) return;
    this.#machine.handleDatagram(this.#clock.now(), datagram, from);
    this.wake();
  }

  /** Lets the machine send and report at the end of the turn. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#clock.defer(() => this.#turn());
  }

  /** Stops for good; the machine is not asked again. */
  close(): void {
    this.#closed = true;
    this.#timer.cancel();
  }

  #onTimeout(): void {
    if (this.#closed) return;
    this.#machine.handleTimeout(this.#clock.now());
    this.#turn();
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    const now = this.#clock.now();
    const machine = this.#machine;
    let event: Event | undefined;
    do {
      while (!this.#closed && machine.pollTransmit(now, this.#transmit)) this.#hooks.send(this.#transmit);
      event = this.#closed ? undefined : machine.pollEvent();
      if (event !== undefined) this.#hooks.onEvent(event);
    } while (event !== undefined && !this.#closed);
    if (!this.#closed) this.#timer.reset(machine.nextTimeout());
  }
}

/**
 * News to many: an `EventTarget` whose event names and payloads are typed.
 */

/** An event with a payload, named as the keys of `Events`. */
export class TypedEvent<Name extends string, Detail> extends Event {
  /** What happened. */
  readonly detail: Detail;

  /** An event called `type` that carries `detail`. */
  constructor(type: Name, detail: Detail) {
    super(type);
    this.detail = detail;
  }
}

/** A listener for one event of `Events`. */
export type TypedListener<Events, Name extends keyof Events & string> = (
  event: TypedEvent<Name, Events[Name]>,
) => void;

/**
 * An emitter of the events that `Events` lists as `{ name: payload }`.
 *
 * @example
 * ```ts
 * import { TypedEventTarget } from "./events.ts";
 *
 * class Door extends TypedEventTarget<{ open: { by: string } }> {
 *   open(by: string): void {
 *     this.emit("open", { by });
 *   }
 * }
 * const door = new Door();
 * door.on("open", (event) => console.assert(event.detail.by === "me"));
 * door.open("me");
 * ```
 */
export class TypedEventTarget<Events> extends EventTarget {
  /** Listens for `name`, until `options.signal` aborts if given. */
  on<Name extends keyof Events & string>(
    name: Name,
    listener: TypedListener<Events, Name>,
    options?: AddEventListenerOptions,
  ): void {
    this.addEventListener(name, listener as unknown as EventListener, options);
  }

  /** Stops listening. */
  off<Name extends keyof Events & string>(name: Name, listener: TypedListener<Events, Name>): void {
    this.removeEventListener(name, listener as unknown as EventListener);
  }

  /** Tells all listeners of `name`. */
  protected emit<Name extends keyof Events & string>(name: Name, detail: Events[Name]): void {
    this.dispatchEvent(new TypedEvent(name, detail));
  }
}

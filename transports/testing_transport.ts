/**
 * The suite that every `Transport` must pass.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import {
  calm,
  type ConformanceCase,
  eventually,
  expect,
  fillPattern,
  patternByte,
  rejection,
  settled,
  type Until,
} from "./testing_kit.ts";
import { CheckedEnd, type SinkHooks } from "./testing_sink.ts";
import type { Link, Listener, Transport } from "./transport.ts";

/** What a transport's author hands to {@linkcode testTransport}, fresh for each case. */
export interface TransportUnderTest extends AsyncDisposable {
  /** Dials. */
  readonly dialer: Transport;
  /** Listens where the dialer can reach it; may be the same. */
  readonly listener: Transport;
  /** A well-formed address at which nobody answers. */
  readonly vacantAddress: string;
  /** Addresses of the transport's scheme that make no sense. */
  readonly invalidAddresses: readonly string[];
  /** Lets the world go on: `realTime` or `virtualTime`, or an own way. */
  readonly until: Until;
  /** What one direction of a link may take in while its reader is paused, in bytes; 16 MiB by default. */
  readonly maxBufferedBytes?: number;
}

const DIALER_SEED = 1;
const LISTENER_SEED = 2;
const DEFAULT_MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const LARGE_BYTES = 2 * 1024 * 1024;
const MANY_LINKS = 16;

interface Pair {
  readonly near: CheckedEnd;
  readonly far: CheckedEnd;
  readonly nearLink: Link;
  readonly farLink: Link;
}

/** A listener, and the links that it accepts. */
class Bench {
  readonly under: TransportUnderTest;
  readonly listener: Listener;
  readonly accepted: Link[];
  readonly until: Until;

  private constructor(under: TransportUnderTest, listener: Listener, accepted: Link[]) {
    this.under = under;
    this.listener = listener;
    this.accepted = accepted;
    this.until = under.until;
  }

  static async open(under: TransportUnderTest): Promise<Bench> {
    const accepted: Link[] = [];
    const listening = under.listener.listen((link) => accepted.push(link), {});
    return new Bench(under, await settled(under.until, "listen", listening), accepted);
  }

  get address(): string {
    const address = this.listener.addresses[0];
    expect(address !== undefined, "a listener must have an address");
    return address;
  }

  dial(address: string = this.address, signal?: AbortSignal): Promise<Link> {
    return this.under.dialer.dial(address, signal === undefined ? {} : { signal });
  }

  /** Both ends of a new link, attached. */
  async connect(hooks: { readonly near?: SinkHooks; readonly far?: SinkHooks } = {}): Promise<Pair> {
    const { nearLink, farLink } = await this.link();
    const near = new CheckedEnd(nearLink.duplex, DIALER_SEED, LISTENER_SEED, hooks.near).attach();
    const far = new CheckedEnd(farLink.duplex, LISTENER_SEED, DIALER_SEED, hooks.far).attach();
    return { near, far, nearLink, farLink };
  }

  /** Both ends of a new link, not attached. */
  async link(): Promise<{ nearLink: Link; farLink: Link }> {
    const before = this.accepted.length;
    const nearLink = await settled(this.until, "dial", this.dial());
    await eventually(this.until, "accept a link", () => this.accepted.length > before);
    return { nearLink, farLink: this.accepted[before]! };
  }

  async closed(...ends: readonly CheckedEnd[]): Promise<void> {
    await eventually(this.until, "onClose at each end", () => ends.every((end) => end.isClosed));
    await calm(this.until);
    for (const end of ends) end.verify();
  }

  /** Ends both sides in order and checks them. */
  async finish(...pairs: readonly Pair[]): Promise<void> {
    const ends = pairs.flatMap(({ near, far }) => [near, far]);
    for (const end of ends) end.duplex.end();
    await this.closed(...ends);
    for (const end of ends) expect(end.error === undefined, `an orderly end closed with ${end.error}`);
  }
}

type Body = (bench: Bench) => Promise<void>;

const DIALING: Record<string, Body> = {
  "dialing an address of a listener opens a link, with addresses of the scheme at both ends": async (
    bench,
  ) => {
    const prefix = `${bench.under.listener.scheme}:`;
    for (const address of bench.listener.addresses) {
      expect(address.startsWith(prefix), `the address ${address} does not begin with ${prefix}`);
    }
    const pair = await bench.connect();
    expect(pair.nearLink.remoteAddress.startsWith(prefix), `remoteAddress is ${pair.nearLink.remoteAddress}`);
    expect(pair.farLink.remoteAddress.startsWith(prefix), `remoteAddress is ${pair.farLink.remoteAddress}`);
    pair.near.send(1);
    await eventually(bench.until, "a byte arrives", () => pair.far.received === 1);
    await bench.finish(pair);
  },
  "dialing where nobody listens fails with a ConnectError": async (bench) => {
    const error = await rejection(bench.until, "dial", bench.dial(bench.under.vacantAddress));
    expect(error instanceof ConnectError, `expected a ConnectError, got ${error}`);
  },
  "dialing an address that makes no sense fails with a TypeError": async (bench) => {
    for (const address of [...bench.under.invalidAddresses, "", "nonsense", "no-such-scheme:1"]) {
      const error = await rejection(bench.until, `dial ${address}`, bench.dial(address));
      expect(error instanceof TypeError, `expected a TypeError for ${address}, got ${error}`);
    }
  },
  "a dial that is aborted fails with the reason of its signal": async (bench) => {
    const reason = new Error("no longer wanted");
    const before = await rejection(bench.until, "dial", bench.dial(bench.address, AbortSignal.abort(reason)));
    expect(before === reason, `aborted before: expected the reason, got ${before}`);
    const controller = new AbortController();
    const dialing = rejection(bench.until, "dial", bench.dial(bench.under.vacantAddress, controller.signal));
    controller.abort(reason);
    const during = await dialing;
    expect(during === reason, `aborted during: expected the reason, got ${during}`);
  },
  "an abort after the dial does not touch the link": async (bench) => {
    const controller = new AbortController();
    const link = await settled(bench.until, "dial", bench.dial(bench.address, controller.signal));
    const near = new CheckedEnd(link.duplex, DIALER_SEED, LISTENER_SEED).attach();
    controller.abort();
    await calm(bench.until);
    expect(!near.isClosed, "the link was closed");
    link.duplex.destroy();
    await bench.closed(near);
  },
  "listening with an aborted signal fails with its reason": async (bench) => {
    const reason = new Error("no longer wanted");
    const listening = bench.under.listener.listen(() => {}, { signal: AbortSignal.abort(reason) });
    const error = await rejection(bench.until, "listen", listening);
    expect(error === reason, `expected the reason, got ${error}`);
  },
  "a listener that is disposed of accepts no more, and its links live on": async (bench) => {
    const pair = await bench.connect();
    await settled(bench.until, "dispose", Promise.resolve(bench.listener[Symbol.asyncDispose]()));
    await settled(bench.until, "dispose twice", Promise.resolve(bench.listener[Symbol.asyncDispose]()));
    const error = await rejection(bench.until, "dial a former listener", bench.dial());
    expect(error instanceof ConnectError, `expected a ConnectError, got ${error}`);
    expect(bench.accepted.length === 1, "a link was accepted after the end");
    pair.near.send(1000);
    pair.far.send(1000);
    await eventually(
      bench.until,
      "bytes arrive",
      () => pair.far.received === 1000 && pair.near.received === 1000,
    );
    await bench.finish(pair);
  },
  "many links at once do not mix their bytes": async (bench) => {
    const pairs: Pair[] = [];
    for (let i = 0; i < MANY_LINKS; i++) pairs.push(await bench.connect());
    pairs.forEach(({ near, far }, i) => {
      near.send(10_000 + i, { end: true });
      far.send(20_000 + i, { end: true });
    });
    await bench.closed(...pairs.flatMap(({ near, far }) => [near, far]));
    pairs.forEach(({ near, far }, i) => {
      expect(far.received === 10_000 + i, `link ${i} received ${far.received} of ${10_000 + i} bytes`);
      expect(near.received === 20_000 + i, `link ${i} received ${near.received} of ${20_000 + i} bytes`);
    });
  },
};

const DATA: Record<string, Body> = {
  "bytes cross both ways, unchanged and in order": async (bench) => {
    const pair = await bench.connect();
    for (let size = 1; size < 2000; size = size * 2 + 1) {
      pair.near.send(size);
      pair.far.send(size + 1);
    }
    const isThere = () => pair.far.received === pair.near.sent && pair.near.received === pair.far.sent;
    await eventually(bench.until, "all bytes arrive", isThere);
    await bench.finish(pair);
  },
  "a transfer of megabytes arrives unchanged, both ways at once": async (bench) => {
    const pair = await bench.connect();
    pair.near.send(LARGE_BYTES, { end: true });
    pair.far.send(LARGE_BYTES, { end: true });
    await bench.closed(pair.near, pair.far);
    expect(pair.far.received === LARGE_BYTES, `the listener received ${pair.far.received} bytes`);
    expect(pair.near.received === LARGE_BYTES, `the dialer received ${pair.near.received} bytes`);
  },
  "what comes before a sink is attached waits for it": async (bench) => {
    const { nearLink, farLink } = await bench.link();
    const near = new CheckedEnd(nearLink.duplex, DIALER_SEED, LISTENER_SEED).attach();
    near.send(5000, { end: true });
    await calm(bench.until);
    const far = new CheckedEnd(farLink.duplex, LISTENER_SEED, DIALER_SEED).attach();
    await eventually(bench.until, "the early bytes arrive", () => far.received === 5000 && far.isEnded);
    far.send(5000, { end: true });
    await bench.closed(near, far);
    expect(near.received === 5000, `the dialer received ${near.received} of 5000 bytes`);
  },
  "alloc gives exactly the size that was asked for": async (bench) => {
    const pair = await bench.connect();
    for (const size of [0, 1, 100, 1452, 65_536, 1_000_000]) {
      const body = pair.near.duplex.alloc(size);
      expect(body.length === size, `alloc(${size}) gave ${body.length} bytes`);
    }
    await bench.finish(pair);
  },
  "an array that was not made by alloc can be written too, and an empty one does no harm": async (bench) => {
    const pair = await bench.connect();
    pair.near.duplex.write(new Uint8Array(0));
    pair.near.duplex.write(fillPattern(new Uint8Array(3000), 0, DIALER_SEED));
    await eventually(bench.until, "the bytes arrive", () => pair.far.received === 3000);
    await bench.finish(pair);
  },
  "a reader that pauses stops the writer within a bound, and gets everything when it goes on": async (
    bench,
  ) => {
    const pair = await bench.connect();
    const bound = bench.under.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES;
    const total = bound + LARGE_BYTES;
    pair.far.pause();
    pair.near.send(total, { end: true });
    for (let sent = -1; sent !== pair.near.sent;) {
      sent = pair.near.sent;
      for (let i = 0; i < 10; i++) await calm(bench.until);
    }
    expect(pair.near.isBlocked, "no write returned false although nobody reads");
    expect(pair.near.sent <= bound, `${pair.near.sent} bytes were taken, ${bound} are allowed`);
    expect(pair.far.received === 0, "data came although the reader had paused");
    pair.far.resume();
    await eventually(bench.until, "all bytes arrive", () => pair.far.received === total && pair.far.isEnded);
    expect(pair.near.drains > 0, "onDrain was never called");
    await bench.finish(pair);
  },
  "a reader can pause at each chunk": async (bench) => {
    const pair: Pair = await bench.connect({
      far: {
        onData: () => {
          pair.far.pause();
          isPaused = true;
        },
      },
    });
    let isPaused = false;
    pair.near.send(100_000);
    while (pair.far.received < 100_000) {
      await eventually(bench.until, "a chunk arrives", () => isPaused);
      isPaused = false;
      pair.far.resume();
    }
    pair.far.resume();
    await bench.finish(pair);
  },
  "unordered messages arrive whole or not at all, if the transport has them": async (bench) => {
    const pair = await bench.connect();
    const sender = pair.near.duplex.unordered;
    expect(
      (sender === undefined) === (pair.far.duplex.unordered === undefined),
      "one end alone has messages",
    );
    if (sender !== undefined) {
      const sizes = [0, 1, 100, sender.maxMessageBytes];
      for (const size of sizes) sender.send(fillPattern(new Uint8Array(size), 0, size));
      await eventually(bench.until, "a message arrives", () => pair.far.messages.length > 0);
      expect(
        !sender.send(new Uint8Array(sender.maxMessageBytes + 1)),
        "a message was taken that is too long",
      );
      await calm(bench.until);
      expect(pair.far.messages.length <= sizes.length, "a message came twice");
      for (const message of pair.far.messages) {
        expect(sizes.includes(message.length), `a message of ${message.length} bytes was never sent`);
        const isIntact = message.every((byte, i) => byte === patternByte(i, message.length));
        expect(isIntact, `a message of ${message.length} bytes was changed`);
      }
    }
    await bench.finish(pair);
  },
};

const CLOSING: Record<string, Body> = {
  "each side ends on its own, and the other may go on": async (bench) => {
    for (const first of ["near", "far"] as const) {
      const pair = await bench.connect();
      const [a, b] = first === "near" ? [pair.near, pair.far] : [pair.far, pair.near];
      a.send(1000, { end: true });
      await eventually(bench.until, "onEnd after the bytes", () => b.isEnded && b.received === 1000);
      await calm(bench.until);
      expect(!a.isClosed && !b.isClosed, `the ${first} side ended and the link closed`);
      b.send(100_000, { end: true });
      await bench.closed(a, b);
      expect(a.received === 100_000, `${a.received} of 100000 bytes came after the own end`);
      expect(a.error === undefined && b.error === undefined, `closed with ${a.error} and ${b.error}`);
    }
  },
  "destroy closes both ends once, its own end with its error and the other with some": async (bench) => {
    const pair = await bench.connect();
    const error = new Error("enough");
    pair.near.duplex.destroy(error);
    pair.near.duplex.destroy(new Error("twice"));
    await bench.closed(pair.near, pair.far);
    expect(pair.near.error === error, `expected the error of destroy, got ${pair.near.error}`);
    expect(pair.far.error instanceof Error, "the other end closed as if all were in order");
  },
  "the listening side can destroy too": async (bench) => {
    const pair = await bench.connect();
    pair.near.send(10);
    await eventually(bench.until, "bytes arrive", () => pair.far.received === 10);
    pair.far.duplex.destroy(new Error("enough"));
    await bench.closed(pair.near, pair.far);
    expect(pair.near.error instanceof Error, "the other end closed as if all were in order");
  },
  "destroy frees a writer that waits": async (bench) => {
    const pair = await bench.connect();
    pair.far.pause();
    pair.near.send(2 * (bench.under.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES));
    await eventually(bench.until, "the writer waits", () => pair.near.isBlocked);
    pair.far.duplex.destroy(new Error("enough"));
    await bench.closed(pair.near, pair.far);
  },
  "a link can be destroyed before a sink is attached": async (bench) => {
    const { nearLink, farLink } = await bench.link();
    nearLink.duplex.destroy();
    const far = new CheckedEnd(farLink.duplex, LISTENER_SEED, DIALER_SEED).attach();
    await bench.closed(far);
    const near = new CheckedEnd(nearLink.duplex, DIALER_SEED, LISTENER_SEED).attach();
    await bench.closed(near);
  },
  "calls after the end or the close do no harm": async (bench) => {
    const pair = await bench.connect();
    const { duplex } = pair.near;
    const late = () => {
      duplex.end();
      expect(!duplex.write(new Uint8Array(10)), "a write after the end must return false");
    };
    late();
    await eventually(bench.until, "onEnd", () => pair.far.isEnded);
    await bench.finish(pair);
    late();
    duplex.pause();
    duplex.resume();
    duplex.unordered?.send(new Uint8Array(1));
    duplex.destroy();
    duplex.destroy(new Error("late"));
    await bench.closed(pair.near, pair.far);
    expect(pair.far.received === 0, "bytes that were written after the end arrived");
  },
  "a sink may write, and end, within onData and onEnd": async (bench) => {
    const pair: Pair = await bench.connect({
      far: { onData: (chunk) => pair.far.send(chunk.length), onEnd: () => pair.far.send(0, { end: true }) },
    });
    pair.near.send(200_000, { end: true });
    await bench.closed(pair.near, pair.far);
    expect(pair.near.received === 200_000, `${pair.near.received} of 200000 bytes came back`);
  },
  "a sink may destroy within onData, and hears no more than onClose": async (bench) => {
    const pair: Pair = await bench.connect({
      far: { onData: () => pair.far.duplex.destroy(new Error("enough")) },
    });
    pair.near.send(1_000_000);
    await bench.closed(pair.near, pair.far);
    expect(pair.far.received < 1_000_000, "data came after destroy");
  },
};

/**
 * The cases that every transport must pass; register them with your test runner.
 *
 * @example
 * ```ts
 * import { macrotask } from "../core/runtime/system.ts";
 * import { SeededRandom, VirtualClock } from "../core/runtime/virtual.ts";
 * import { MemoryTransport, SimulatedNetwork } from "./memory/mod.ts";
 * import { testTransport, virtualTime } from "./testing.ts";
 *
 * const cases = testTransport(() => {
 *   const clock = new VirtualClock();
 *   const network = new SimulatedNetwork({ clock, random: new SeededRandom(1) });
 *   return Promise.resolve({
 *     dialer: new MemoryTransport(network.host({ name: "a" })),
 *     listener: new MemoryTransport(network.host({ name: "b" })),
 *     vacantAddress: "memory:b:9",
 *     invalidAddresses: ["memory:"],
 *     until: virtualTime(clock, macrotask),
 *     [Symbol.asyncDispose]: () => Promise.resolve(),
 *   });
 * });
 * for (const { run } of cases) await run(); // in tests: Deno.test(name, run) or test(name, run)
 * ```
 */
export function testTransport(make: () => Promise<TransportUnderTest>): ConformanceCase[] {
  return Object.entries({ ...DIALING, ...DATA, ...CLOSING }).map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      const bench = await Bench.open(under);
      try {
        await body(bench);
      } finally {
        for (const link of bench.accepted) link.duplex.destroy();
        await settled(
          under.until,
          "dispose of the listener",
          Promise.resolve(bench.listener[Symbol.asyncDispose]()),
        );
        await under[Symbol.asyncDispose]();
      }
    },
  }));
}

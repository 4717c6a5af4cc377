/**
 * The suite that every `DatagramNetwork` must pass, on a path that neither loses nor reorders.
 */
import { SocketAddress } from "../encoding/address.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import type { BindOptions, DatagramNetwork, DatagramSocket } from "./datagram.ts";
import {
  calm,
  type ConformanceCase,
  eventually,
  expect,
  rejection,
  settled,
  type Until,
} from "./testing_kit.ts";

/** What the author of a datagram network hands to {@linkcode testDatagramNetwork}, fresh for each case. */
export interface DatagramNetworkUnderTest extends AsyncDisposable {
  /** One place. */
  readonly near: DatagramNetwork;
  /** The address of `near`, to bind to. */
  readonly nearHost: string;
  /** Another place, which may be the same. */
  readonly far: DatagramNetwork;
  /** The address of `far`, to bind to. */
  readonly farHost: string;
  /** Lets the world go on: `realTime` or `virtualTime`, or an own way. */
  readonly until: Until;
}

/** Datagrams in a burst: more than a congestion window, fewer than a kernel's default receive buffer holds. */
const BURST = 64;

/** A socket, and what it received, copied. */
class Ear {
  readonly received: Uint8Array[] = [];
  readonly sources: SocketAddress[] = [];
  socket!: DatagramSocket;

  onDatagram(datagram: Uint8Array, from: SocketAddress): void {
    expect(
      datagram.constructor === Uint8Array,
      "a datagram must be a plain Uint8Array: the slice of a Buffer copies nothing",
    );
    this.received.push(datagram.slice());
    this.sources.push(from);
  }

  /** First bytes of what was received. */
  get marks(): string {
    return this.received.map((datagram) => datagram[0]).join();
  }

  async close(): Promise<void> {
    await this.socket.close();
  }
}

class Bench {
  readonly under: DatagramNetworkUnderTest;
  readonly until: Until;
  readonly #ears: Ear[] = [];

  constructor(under: DatagramNetworkUnderTest) {
    this.under = under;
    this.until = under.until;
  }

  async open(side: "near" | "far", options: BindOptions = {}): Promise<Ear> {
    const ear = new Ear();
    const host = side === "near" ? this.under.nearHost : this.under.farHost;
    const binding = this.under[side].bind({ host, ...options }, ear);
    ear.socket = await settled(this.until, "bind", binding);
    this.#ears.push(ear);
    return ear;
  }

  async arrives(ear: Ear, count: number): Promise<void> {
    await eventually(this.until, `${count} datagrams arrive`, () => ear.received.length >= count);
    await calm(this.until);
    expect(ear.received.length === count, `${ear.received.length} datagrams came, ${count} were sent`);
  }

  async close(): Promise<void> {
    for (const ear of this.#ears) await settled(this.until, "close", ear.close());
  }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i).join();

type Body = (bench: Bench) => Promise<void>;

const CASES: Record<string, Body> = {
  "a datagram arrives whole, from the address of its socket, and can be answered": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    expect(far.socket.address.port > 0, "the socket has no real port");
    expect(near.socket.send(Uint8Array.of(1, 2, 3), far.socket.address), "send returned false");
    await bench.arrives(far, 1);
    expect(far.received[0]!.join() === "1,2,3", `the datagram became ${far.received[0]}`);
    expect(
      far.sources[0]!.equals(near.socket.address),
      `it came from ${far.sources[0]}, not ${near.socket.address}`,
    );
    far.socket.send(Uint8Array.of(4), far.sources[0]!);
    await bench.arrives(near, 1);
  },
  "datagrams of all sizes arrive, from none to the largest byte count": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    const sizes = [0, 1, 508, 1200, bench.under.near.maxDatagramBytes];
    for (const size of sizes) near.socket.send(new Uint8Array(size).fill(size & 0xff), far.socket.address);
    await bench.arrives(far, sizes.length);
    const received = far.received.map((datagram) => datagram.length);
    expect(received.join() === sizes.join(), `the sizes became ${received}`);
    const isIntact = far.received.every((datagram) =>
      datagram.every((byte) => byte === (datagram.length & 0xff))
    );
    expect(isIntact, "a datagram was changed");
  },
  "the first burst of a fresh socket keeps its order, and so does the next": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    for (let i = 0; i < BURST; i++) near.socket.send(Uint8Array.of(i), far.socket.address);
    await bench.arrives(far, BURST);
    for (let i = 0; i < BURST; i++) near.socket.send(Uint8Array.of(BURST + i), far.socket.address);
    await bench.arrives(far, 2 * BURST);
    expect(far.marks === numbers(0, 2 * BURST), `the order became ${far.marks}`);
  },
  "datagrams with a TTL keep their place among the others": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    for (let i = 0; i < BURST; i++) {
      if (i % 7 === 3) near.socket.send(Uint8Array.of(i), far.socket.address, 40 + i);
      else near.socket.send(Uint8Array.of(i), far.socket.address);
    }
    await bench.arrives(far, BURST);
    expect(far.marks === numbers(0, BURST), `the order became ${far.marks}`);
  },
  "the sender's memory is its own again in the next turn": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    const datagram = new Uint8Array(1000);
    for (let i = 0; i < 10; i++) {
      near.socket.send(datagram.fill(i), far.socket.address);
      await bench.until(() => false, 1);
    }
    await bench.arrives(far, 10);
    expect(far.marks === numbers(0, 10), `the datagrams became ${far.marks}`);
  },
  "a batch arrives in order, if the socket takes batches": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    if (near.socket.sendBatch === undefined) return;
    const batch = Array.from({ length: 20 }, (_, i) => Uint8Array.of(i));
    expect(near.socket.sendBatch(batch, 16, far.socket.address) === 16, "sendBatch did not take all");
    await bench.arrives(far, 16);
    expect(far.marks === numbers(0, 16), `the datagrams became ${far.marks}`);
  },
  "a socket does not get what is for another port": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    const other = await bench.open("far");
    near.socket.send(Uint8Array.of(1), other.socket.address);
    await bench.arrives(other, 1);
    expect(far.received.length === 0, "it got it");
  },
  "a port is taken once, and free again after close": async (bench) => {
    const near = await bench.open("near");
    const options = { host: bench.under.nearHost, port: near.socket.address.port };
    const second = bench.under.near.bind(options, new Ear());
    const error = await rejection(bench.until, "bind a taken port", second);
    expect(error instanceof ConnectError, `expected a ConnectError, got ${error}`);
    expect(error.code === "ADDRESS_IN_USE", `expected ADDRESS_IN_USE, got ${error.code}`);
    await settled(bench.until, "close", near.close());
    const again = await bench.open("near", { port: options.port });
    expect(again.socket.address.port === options.port, `bound ${again.socket.address} instead`);
  },
  "an address of another machine cannot be bound, and a name is no address": async (bench) => {
    const foreign = bench.under.near.bind({ host: "11.255.255.254" }, new Ear());
    const error = await rejection(bench.until, "bind a foreign address", foreign);
    expect(error instanceof ConnectError, `expected a ConnectError, got ${error}`);
    expect(error.code === "ADDRESS_UNUSABLE", `expected ADDRESS_UNUSABLE, got ${error.code}`);
    const named = async () => await bench.under.near.bind({ host: "localhost" }, new Ear());
    const wrong = await rejection(bench.until, "bind a name", named());
    expect(wrong instanceof TypeError, `expected a TypeError, got ${wrong}`);
  },
  "a datagram for nobody does no harm": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    const gone = await bench.open("far");
    await settled(bench.until, "close", gone.close());
    for (let i = 0; i < 10; i++) near.socket.send(new Uint8Array(10), gone.socket.address);
    near.socket.send(new Uint8Array(1), SocketAddress.of(bench.under.farHost, 0));
    await calm(bench.until);
    near.socket.send(Uint8Array.of(7), far.socket.address);
    await bench.arrives(far, 1);
  },
  "a datagram that is too long, or of the wrong family, is dropped and does no harm": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    near.socket.send(new Uint8Array(70_000), far.socket.address);
    const wrongFamily = SocketAddress.of(near.socket.address.family === 4 ? "::1" : "127.0.0.1", 9);
    near.socket.send(new Uint8Array(1), wrongFamily);
    await calm(bench.until);
    near.socket.send(Uint8Array.of(7), far.socket.address);
    await bench.arrives(far, 1);
    expect(far.marks === "7", `it received ${far.marks}`);
  },
  "what was sent before close goes out, and after close nothing is sent or received": async (bench) => {
    const [near, far] = [await bench.open("near"), await bench.open("far")];
    for (let i = 0; i < 10; i++) near.socket.send(Uint8Array.of(i), far.socket.address);
    const closing = near.close();
    await settled(bench.until, "close", closing);
    await settled(bench.until, "close twice", near.close());
    await settled(bench.until, "dispose", Promise.resolve(near.socket[Symbol.asyncDispose]()));
    await bench.arrives(far, 10);
    expect(!near.socket.send(Uint8Array.of(99), far.socket.address), "send returned true after close");
    far.socket.send(Uint8Array.of(1), near.socket.address);
    await calm(bench.until);
    expect(near.received.length === 0, "a datagram came after close");
  },
};

/**
 * The cases that every datagram network must pass; register them with your test runner.
 *
 * @example
 * ```ts
 * import { SystemClock } from "../core/runtime/system.ts";
 * import { realTime, testDatagramNetwork } from "./testing.ts";
 * import { udpNetwork } from "./udp/mod.ts";
 *
 * const until = realTime(new SystemClock());
 * const cases = testDatagramNetwork(() =>
 *   Promise.resolve({
 *     near: udpNetwork(),
 *     nearHost: "127.0.0.1",
 *     far: udpNetwork(),
 *     farHost: "127.0.0.1",
 *     until,
 *     [Symbol.asyncDispose]: () => Promise.resolve(),
 *   })
 * );
 * for (const { run } of cases) await run(); // in tests: Deno.test(name, run) or test(name, run)
 * ```
 */
export function testDatagramNetwork(make: () => Promise<DatagramNetworkUnderTest>): ConformanceCase[] {
  return Object.entries(CASES).map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      const bench = new Bench(under);
      try {
        await body(bench);
      } finally {
        await bench.close();
        await under[Symbol.asyncDispose]();
      }
    },
  }));
}

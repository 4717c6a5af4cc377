/**
 * UDX over loopback between two processes: bulk, small writes, ping-pong, CPU and memory. `interop/reference/bench_udx.mjs` does
 * the same with the reference.
 *
 *     deno run -A tests/bench/udx_bench.ts [--quick]
 *
 * The network is what `udpNetwork()` takes: with `--unstable-net`, on Deno, that is the faster one.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import type { Sink } from "../../core/stream/duplex.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxEndpoint, type UdxSocket, type UdxStream } from "../../transports/udx/mod.ts";

const IS_CHILD = process.argv.includes("--child");
const QUICK = process.argv.includes("--quick");
const CHUNK_BYTES = 65_536;
/** The ids of the streams of the child are higher by this than those of their peers. */
const CHILD_ID_OFFSET = 1_000_000;

type Behaviour = "swallow" | "echo";

class Reader implements Sink {
  received = 0;
  onReceived: (() => void) | undefined;
  onRoom: (() => void) | undefined;
  echoTo: UdxStream | undefined;

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.echoTo?.write(chunk.slice());
    this.onReceived?.();
  }

  onDrain(): void {
    this.onRoom?.();
  }

  onEnd(): void {}
  onClose(): void {}
}

interface End {
  readonly stream: UdxStream;
  readonly reader: Reader;
}

/** Streams `first` to `first + count - 1`, connected to those of the other process. */
function connect(
  endpoint: UdxEndpoint,
  socket: UdxSocket,
  port: number,
  first: number,
  count: number,
): End[] {
  const [mine, theirs] = IS_CHILD ? [CHILD_ID_OFFSET, 0] : [0, CHILD_ID_OFFSET];
  return Array.from({ length: count }, (_, index) => {
    const stream = endpoint.createStream({ id: first + index + mine });
    const reader = new Reader();
    stream.attach(reader);
    stream.connect(socket, first + index + theirs, SocketAddress.of("127.0.0.1", port));
    return { stream, reader };
  });
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

// --- The child: does what it is told, line by line ---

async function runChild(): Promise<void> {
  const endpoint = new UdxEndpoint({ clock: new SystemClock(), random: new SystemRandom() }, udpNetwork());
  const socket = await endpoint.bind({ host: "127.0.0.1" });
  let ends: End[] = [];
  let wanted = Infinity;
  const answer = (value: unknown) => console.log(JSON.stringify(value));
  const check = () => {
    if (ends.reduce((sum, { reader }) => sum + reader.received, 0) < wanted) return;
    wanted = Infinity;
    answer({ cpu: cpuSeconds() });
  };
  answer({ port: socket.address.port });
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as {
      port: number;
      first: number;
      count: number;
      bytes: number;
      behaviour: Behaviour;
    };
    ends = connect(endpoint, socket, order.port, order.first, order.count);
    wanted = order.bytes;
    for (const { stream, reader } of ends) {
      if (order.behaviour === "echo") reader.echoTo = stream;
      reader.onReceived = check;
    }
    answer({ cpu: cpuSeconds() });
  }
  await endpoint.close();
}

// --- The parent: measures ---

class Bench {
  readonly #endpoint = new UdxEndpoint(
    { clock: new SystemClock(), random: new SystemRandom() },
    udpNetwork(),
  );
  readonly #child = spawn(
    process.execPath,
    [...runtimeArguments(), process.argv[1]!, "--child"],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  #socket!: UdxSocket;
  #port = 0;
  #nextId = 1;

  async start(): Promise<void> {
    this.#socket = await this.#endpoint.bind({ host: "127.0.0.1" });
    this.#port = (await this.#answer())["port"]!;
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#endpoint.close();
  }

  async #answer(): Promise<Record<string, number>> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("The other process ended");
    return JSON.parse(value);
  }

  async #open(count: number, bytes: number, behaviour: Behaviour): Promise<{ ends: End[]; cpu: number }> {
    const first = this.#nextId;
    this.#nextId += count;
    const order = { port: this.#socket.address.port, first, count, bytes, behaviour };
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    const { cpu } = await this.#answer();
    return { ends: connect(this.#endpoint, this.#socket, this.#port, first, count), cpu: cpu! };
  }

  /** Sends `bytes` over `streams` in pieces, and returns seconds of time and CPU until the other side has them all. */
  async bulk(streams: number, bytes: number, pieceBytes: number): Promise<{ time: number; cpu: number }> {
    const { ends, cpu } = await this.#open(streams, bytes, "swallow");
    const start = { time: performance.now(), cpu: cpuSeconds() };
    for (const { stream, reader } of ends) pump(stream, reader, bytes / streams, pieceBytes);
    const done = await this.#answer();
    const time = (performance.now() - start.time) / 1000;
    const used = cpuSeconds() - start.cpu + done["cpu"]! - cpu;
    for (const { stream } of ends) stream.destroy();
    return { time, cpu: used };
  }

  /** Round trips of one byte, in microseconds, ascending. */
  async pingPong(count: number): Promise<number[]> {
    const { ends } = await this.#open(1, Infinity, "echo");
    const { stream, reader } = ends[0]!;
    const times: number[] = [];
    await new Promise<void>((resolve) => {
      let start = performance.now();
      const send = () => {
        start = performance.now();
        stream.write(Uint8Array.of(1));
      };
      reader.onReceived = () => {
        times.push((performance.now() - start) * 1000);
        if (times.length === count) resolve();
        else send();
      };
      send();
    });
    stream.destroy();
    return times.toSorted((a, b) => a - b);
  }

  /** Bytes of memory of this process for each of `count` streams that have carried one byte each way. */
  async memory(count: number): Promise<number> {
    const before = process.memoryUsage().rss;
    const { ends } = await this.#open(count, Infinity, "echo");
    await new Promise<void>((resolve) => {
      let left = count;
      const done = () => {
        if (--left === 0) resolve();
      };
      for (const { stream, reader } of ends) {
        reader.onReceived = done;
        stream.write(Uint8Array.of(1));
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const used = (process.memoryUsage().rss - before) / count;
    for (const { stream } of ends) stream.destroy();
    return Math.max(used, 0);
  }
}

function runtimeArguments(): string[] {
  const isDeno = "Deno" in globalThis;
  if (!isDeno) return process.execArgv;
  const unstable = "listenDatagram" in (globalThis as unknown as { Deno: object }).Deno;
  return ["run", "-A", "--quiet", ...(unstable ? ["--unstable-net"] : [])];
}

function pump(stream: UdxStream, reader: Reader, bytes: number, pieceBytes: number): void {
  const piece = new Uint8Array(pieceBytes).fill(7);
  reader.onRoom = () => {
    while (bytes > 0) {
      bytes -= pieceBytes;
      if (!stream.write(piece)) return;
    }
  };
  reader.onRoom();
}

function print(name: string, unit: string, value: number, work: number): void {
  console.log(
    JSON.stringify({ case: name, unit, value: Number(value.toPrecision(4)), hash: work.toString(16) }),
  );
}

async function measure(): Promise<void> {
  const bench = new Bench();
  await bench.start();
  const bytes = CHUNK_BYTES * 16 * (QUICK ? 4 : 256);
  await bench.bulk(1, bytes / 4, CHUNK_BYTES);
  for (const streams of [1, 16]) {
    const { time, cpu } = await bench.bulk(streams, bytes, CHUNK_BYTES);
    print(`bulk over ${streams}`, "MB/s", bytes / 1e6 / time, bytes);
    print(`bulk over ${streams}: CPU of both sides`, "s/GB", cpu / (bytes / 1e9), bytes);
  }
  const messages = QUICK ? 10_000 : 400_000;
  const { time } = await bench.bulk(1, messages * 100, 100);
  print("writes of 100 bytes", "writes/s", messages / time, messages);
  const times = await bench.pingPong(QUICK ? 100 : 20_000);
  print("ping-pong, median", "us", times[times.length >> 1]!, times.length);
  print("ping-pong, 99th percentile", "us", times[Math.floor(times.length * 0.99)]!, times.length);
  const streams = QUICK ? 200 : 2_000;
  print("memory of an idle stream", "B", await bench.memory(streams), streams);
  await bench.stop();
}

if (IS_CHILD) await runChild();
else await measure();

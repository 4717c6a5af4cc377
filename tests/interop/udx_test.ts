/**
 * UDX against the reference, over loopback:
 *
 *     UdxEndpoint  <-- UDP -->  [lossy_proxy]  <-- UDP -->  udx-native in Node
 *
 * Both sides write, and both sides read; `HYPHA_LONG=1` makes the bulk transfers 1 GiB long.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { UdxEndpoint, UdxSocket, UdxStream, UdxStreamOptions } from "../../transports/udx/mod.ts";
import { test } from "../harness.ts";
import { patternHash } from "./reference/pattern.mjs";
import { Child, endpoint, local, Reader, skip } from "./udx_support.ts";

const MIB = 1 << 20;
const OURS = 0x1001;
const THEIRS = 0x2002;

/** One stream between an endpoint of ours and the reference, perhaps by way of a bad path. */
interface Rig {
  readonly peer: Child;
  readonly proxy: Child | undefined;
  readonly ours: UdxEndpoint;
  readonly socket: UdxSocket;
  readonly stream: UdxStream;
  readonly reader: Reader;
  /** The port at which the reference is reached. */
  readonly port: number;
  /** The port at which the reference reaches us. */
  readonly ourPort: number;
}

interface RigOptions {
  readonly ours?: UdxStreamOptions;
  readonly theirs?: Record<string, unknown>;
  readonly path?: Record<string, unknown>;
  /** Whether streams are connected at once; otherwise the test does it. */
  readonly connects?: boolean;
}

async function withRig(options: RigOptions, body: (rig: Rig) => Promise<void>): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const peer = cleanup.use(new Child("udx_peer.mjs"));
  const ours = cleanup.use(endpoint());
  const socket = await ours.bind({ host: "127.0.0.1" });
  let { port } = await peer.ask("bind", { socket: "a" });
  let ourPort = socket.address.port;
  let proxy: Child | undefined;
  if (options.path !== undefined) {
    proxy = cleanup.use(new Child("lossy_proxy.mjs"));
    const ports = await proxy.ask("open", { left: ourPort, right: port, ...options.path });
    port = ports.leftPort;
    ourPort = ports.rightPort;
  }
  await peer.ask("stream", { stream: "s", localId: THEIRS, ...options.theirs });
  const stream = ours.createStream({ id: OURS, ...options.ours });
  const reader = new Reader();
  stream.attach(reader);
  if (options.connects !== false) {
    stream.connect(socket, THEIRS, local(port));
    await peer.ask("connect", {
      stream: "s",
      socket: "a",
      remoteId: OURS,
      port: ourPort,
      ack: options.ours?.firstSeq ?? 0,
    });
  }
  await body({ peer, proxy, ours, socket, stream, reader, port, ourPort });
}

/** Writes both ways at once, ends both sides, and compares. */
async function exchange(
  { peer, proxy, stream, reader }: Rig,
  ourBytes: number,
  theirBytes: number,
): Promise<void> {
  const theirWrite = peer.ask("write", { stream: "s", seed: 2, bytes: theirBytes });
  await reader.write(stream, 1, ourBytes);
  await theirWrite;
  stream.end();
  await peer.ask("end", { stream: "s" });
  const theirs = await peer.ask("closed", { stream: "s" });
  const error = await reader.untilClosed();
  // The reference forgets a stream at once when both sides have ended: if its last acknowledgement is lost, nobody repeats it.
  const mayBeForgotten = proxy !== undefined && error instanceof ConnectError && error.code === "TIMEOUT";
  if (!mayBeForgotten) assert.equal(error, undefined);
  assert.equal(theirs.error, null);
  assert.deepEqual([theirs.received, reader.received], [ourBytes, theirBytes]);
  assert.equal(theirs.hash, patternHash(1, ourBytes));
  assert.equal(reader.hash, patternHash(2, theirBytes));
  assert(theirs.ended && reader.ended);
}

test("UDX interop: bulk data both ways at once arrives unharmed", async () => {
  const bytes = process.env["HYPHA_LONG"] === "1" ? 1024 * MIB : 32 * MIB;
  await withRig({}, async (rig) => {
    await exchange(rig, bytes, 0);
    assert(rig.stream.stats.mtu === 1500, "our MTU probes were accepted");
  });
  await withRig({}, (rig) => exchange(rig, 0, bytes));
  await withRig({}, (rig) => exchange(rig, 4 * MIB, 4 * MIB));
}, { skip });

test("UDX interop: small writes and small answers arrive in order", async () => {
  await withRig({}, async ({ peer, stream, reader }) => {
    const theirWrite = peer.ask("write", { stream: "s", seed: 3, bytes: 200_000, pieceBytes: 100 });
    await reader.write(stream, 4, 200_000, 100);
    await theirWrite;
    const theirs = await peer.ask("received", { stream: "s", bytes: 200_000 });
    await reader.until(() => reader.received === 200_000);
    assert.equal(theirs.hash, patternHash(4, 200_000));
    assert.equal(reader.hash, patternHash(3, 200_000));
  });
}, { skip });

for (const loss of [0.05, 0.2]) {
  test(`UDX interop: ${loss * 100} % loss and reordering both ways`, async () => {
    const path = { loss, late: 0.1, lateMs: 5, seed: 7 };
    await withRig({ path }, async (rig) => {
      await exchange(rig, 2 * MIB, 2 * MIB);
      const counts = await rig.proxy!.ask("counts");
      assert(counts.lost > 50 && counts.late > 50);
    });
  }, { skip });
}

test("UDX interop: each side may end first and go on reading", async () => {
  await withRig({}, async ({ peer, stream, reader }) => {
    stream.end();
    const theirs = await peer.ask("ended", { stream: "s" });
    assert(theirs.ended && !theirs.closed);
    await peer.ask("write", { stream: "s", seed: 5, bytes: MIB });
    await peer.ask("end", { stream: "s" });
    assert.equal(await reader.untilClosed(), undefined);
    assert.equal(reader.hash, patternHash(5, MIB));
    assert.equal((await peer.ask("closed", { stream: "s" })).error, null);
  });
  await withRig({}, async ({ peer, stream, reader }) => {
    await peer.ask("end", { stream: "s" });
    await reader.until(() => reader.ended);
    assert.equal(reader.closed, undefined);
    await reader.write(stream, 6, MIB);
    stream.end();
    const theirs = await peer.ask("closed", { stream: "s" });
    assert.deepEqual([theirs.error, theirs.hash], [null, patternHash(6, MIB)]);
    assert.equal(await reader.untilClosed(), undefined);
  });
}, { skip });

test("UDX interop: each side hears that the other drops the stream", async () => {
  await withRig({}, async ({ peer, stream, reader }) => {
    await reader.write(stream, 1, 1000);
    await peer.ask("received", { stream: "s", bytes: 1000 });
    stream.destroy();
    assert.equal((await peer.ask("closed", { stream: "s" })).error, "ECONNRESET");
  });
  await withRig({}, async ({ peer, reader }) => {
    await peer.ask("write", { stream: "s", seed: 1, bytes: 1000 });
    await reader.until(() => reader.received === 1000);
    await peer.ask("destroy", { stream: "s" });
    const error = await reader.untilClosed();
    assert.equal((error as { code?: string } | undefined)?.code, "CONNECTION_RESET");
  });
}, { skip });

test("UDX interop: both sides move to other sockets in the middle of a transfer", async () => {
  // Like ours after a move, the reference must take what still comes the old way: there its firewall decides.
  await withRig({ theirs: { firewall: "accept" } }, async (rig) => {
    const { peer, stream, reader, ours } = rig;
    const { port } = await peer.ask("bind", { socket: "b" });
    const socket = await ours.bind({ host: "127.0.0.1" });
    const writes = [
      reader.write(stream, 1, 8 * MIB),
      peer.ask("write", { stream: "s", seed: 2, bytes: 8 * MIB }),
    ];
    await peer.ask("received", { stream: "s", bytes: MIB });
    stream.expectRemote(local(port));
    const move = { stream: "s", socket: "b", remoteId: OURS, port: socket.address.port };
    await Promise.all([
      peer.ask("changeRemote", move),
      stream.changeRemote(socket, THEIRS, local(port)),
    ]);
    await Promise.all(writes);
    const theirs = await peer.ask("received", { stream: "s", bytes: 8 * MIB });
    await reader.until(() => reader.received === 8 * MIB);
    assert.equal(theirs.hash, patternHash(1, 8 * MIB));
    assert.equal(reader.hash, patternHash(2, 8 * MIB));
    assert.equal(stream.socket, socket);
  });
}, { skip });

test("UDX interop: only our side moves, while the reference stays where it is", async () => {
  await withRig({}, async (rig) => {
    const { peer, stream, reader, ours } = rig;
    const socket = await ours.bind({ host: "127.0.0.1" });
    const writes = [
      reader.write(stream, 1, 4 * MIB),
      peer.ask("write", { stream: "s", seed: 2, bytes: 4 * MIB }),
    ];
    await peer.ask("received", { stream: "s", bytes: MIB });
    await stream.changeRemote(socket, THEIRS, local(rig.port));
    await Promise.all(writes);
    const theirs = await peer.ask("received", { stream: "s", bytes: 4 * MIB });
    await reader.until(() => reader.received === 4 * MIB);
    assert.deepEqual([theirs.hash, reader.hash], [patternHash(1, 4 * MIB), patternHash(2, 4 * MIB)]);
  });
}, { skip });

test("UDX interop: two of ours talk through a relay of the reference", async () => {
  await using cleanup = new AsyncDisposableStack();
  const peer = cleanup.use(new Child("udx_peer.mjs"));
  const { port } = await peer.ask("bind", { socket: "r" });
  const ends = [];
  for (const [index, name] of ["x", "y"].entries()) {
    const ours = cleanup.use(endpoint());
    const socket = await ours.bind({ host: "127.0.0.1" });
    const stream = ours.createStream({ id: 10 + index });
    const reader = new Reader();
    stream.attach(reader);
    await peer.ask("stream", { stream: name, localId: 20 + index });
    await peer.ask("connect", { stream: name, socket: "r", remoteId: 10 + index, port: socket.address.port });
    stream.connect(socket, 20 + index, local(port));
    ends.push({ stream, reader });
  }
  await peer.ask("relay", { from: "x", to: "y" });
  const [x, y] = ends;
  await Promise.all([x!.reader.write(x!.stream, 1, MIB), y!.reader.write(y!.stream, 2, MIB)]);
  await x!.reader.until(() => x!.reader.received === MIB);
  await y!.reader.until(() => y!.reader.received === MIB);
  assert.deepEqual([x!.reader.hash, y!.reader.hash], [patternHash(2, MIB), patternHash(1, MIB)]);
  x!.stream.destroy();
  assert.notEqual(await y!.reader.untilClosed(), undefined);
  assert((await peer.ask("closed", { stream: "x" })).closed);
}, { skip });

test("UDX interop: two of the reference talk through a relay of ours", async () => {
  await using cleanup = new AsyncDisposableStack();
  const peers = [cleanup.use(new Child("udx_peer.mjs")), cleanup.use(new Child("udx_peer.mjs"))];
  const ours = cleanup.use(endpoint());
  const socket = await ours.bind({ host: "127.0.0.1" });
  const relays = [];
  for (const [index, peer] of peers.entries()) {
    const { port } = await peer.ask("bind", { socket: "a" });
    await peer.ask("stream", { stream: "s", localId: 30 + index });
    const stream = ours.createStream({ id: 40 + index });
    const reader = new Reader();
    stream.attach(reader);
    stream.connect(socket, 30 + index, local(port));
    await peer.ask("connect", {
      stream: "s",
      socket: "a",
      remoteId: 40 + index,
      port: socket.address.port,
    });
    relays.push({ stream, reader });
  }
  relays[0]!.stream.relayTo(relays[1]!.stream);
  relays[1]!.stream.relayTo(relays[0]!.stream);
  await Promise.all(peers.map((peer, index) => peer.ask("write", { stream: "s", seed: index, bytes: MIB })));
  for (const [index, peer] of peers.entries()) {
    const { hash } = await peer.ask("received", { stream: "s", bytes: MIB });
    assert.equal(hash, patternHash(1 - index, MIB));
  }
  await peers[0]!.ask("destroy", { stream: "s" });
  assert.equal((await peers[1]!.ask("closed", { stream: "s" })).error, "ECONNRESET");
  for (const { reader } of relays) assert.equal(await reader.untilClosed(), undefined);
}, { skip });

test("UDX interop: unordered messages go both ways, the empty one included", async () => {
  await withRig({}, async ({ peer, stream, reader }) => {
    const text = (value: string) => new TextEncoder().encode(value);
    const hex = (value: string) => Buffer.from(value).toString("hex");
    assert(stream.send(text("hello")));
    assert(stream.send(text("")));
    assert(stream.send(new Uint8Array(stream.maxMessageBytes).fill(120)));
    const { messages } = await peer.ask("messages", { stream: "s", count: 3 });
    assert.deepEqual(messages.map((message) => message.length / 2), [5, 0, 1152]);
    assert.equal(messages[0], hex("hello"));
    for (const message of ["a", "", "c"]) await peer.ask("send", { stream: "s", message: hex(message) });
    await reader.until(() => reader.messages.length === 3);
    assert.deepEqual(reader.messages, ["a", "", "c"]);
  });
}, { skip });

test("UDX interop: MTU probes are accepted in both directions, and lost ones do no harm", async () => {
  await withRig({}, async (rig) => {
    const theirWrite = rig.peer.ask("write", { stream: "s", seed: 2, bytes: MIB });
    await rig.reader.write(rig.stream, 1, MIB);
    await theirWrite;
    await rig.peer.ask("received", { stream: "s", bytes: MIB });
    await rig.reader.until(() => rig.reader.received === MIB);
    assert.equal(rig.stream.stats.mtu, 1500);
    const theirs = await rig.peer.ask("stats", { stream: "s" });
    // The reference climbs in steps of 32, one each round trip, as far as the transfer takes it.
    assert(theirs.mtu > 1200, `${theirs.mtu}`);
    assert.deepEqual([theirs.hash, rig.reader.hash], [patternHash(1, MIB), patternHash(2, MIB)]);
  });
  // A path whose MTU is 1300.
  await withRig({ path: { maxBytes: 1272 } }, async (rig) => {
    await exchange(rig, 2 * MIB, 2 * MIB);
    const { mtu } = rig.stream.stats;
    assert(mtu > 1284 && mtu <= 1300, `${mtu} is found by halving`);
    assert((await rig.proxy!.ask("counts")).tooBig > 0);
  });
}, { skip });

test("UDX interop: each side answers the other's heartbeats", async () => {
  await withRig({ ours: { keepAliveMs: 40 } }, async ({ peer, stream, reader }) => {
    await reader.write(stream, 1, 10);
    await peer.ask("received", { stream: "s", bytes: 10 });
    const before = stream.stats;
    await new Promise((resolve) => setTimeout(resolve, 500));
    const after = stream.stats;
    assert(after.packetsSent - before.packetsSent >= 5);
    assert(after.packetsReceived - before.packetsReceived >= 5);
  });
  await withRig({}, async ({ peer, reader }) => {
    await peer.ask("keepalive", { stream: "s", ms: 40 });
    await peer.ask("write", { stream: "s", seed: 1, bytes: 10 });
    await reader.until(() => reader.received === 10);
    const before = await peer.ask("stats", { stream: "s" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const after = await peer.ask("stats", { stream: "s" });
    assert(after.packetsReceived - before.packetsReceived >= 5);
  });
}, { skip });

test(
  "UDX interop: data that comes before we connect is taken by leave of the firewall, and acknowledged",
  async () => {
    let asked = 0;
    const firewall = () => ++asked > 0;
    await withRig({ connects: false, ours: { firewall } }, async (rig) => {
      const { peer, stream, reader } = rig;
      await peer.ask("connect", { stream: "s", socket: "a", remoteId: OURS, port: rig.ourPort });
      await peer.ask("write", { stream: "s", seed: 1, bytes: 5000 });
      await reader.until(() => reader.received === 5000);
      assert(asked >= 1);
      stream.connect(rig.socket, THEIRS, local(rig.port));
      assert((await peer.ask("flush", { stream: "s" })).flushed);
      assert.equal((await peer.ask("stats", { stream: "s" })).rtoCount, 0);
      assert.equal(reader.hash, patternHash(1, 5000));
    });
  },
  { skip },
);

test("UDX interop: data that comes before the reference connects is taken by its firewall", async () => {
  await withRig({ connects: false, theirs: { firewall: "accept", connectBack: OURS } }, async (rig) => {
    rig.stream.connect(rig.socket, THEIRS, local(rig.port));
    await rig.reader.write(rig.stream, 1, 5000);
    const { hash } = await rig.peer.ask("received", { stream: "s", bytes: 5000 });
    assert.equal(hash, patternHash(1, 5000));
    assert(await rig.stream.flush());
    const { firewalled } = await rig.peer.ask("stats", { stream: "s" });
    assert.equal(firewalled[0], `127.0.0.1:${rig.ourPort}`);
  });
}, { skip });

test("UDX interop: sequence numbers wrap around", async () => {
  const seq = 2 ** 32 - 40;
  const rig = { ours: { firstSeq: seq, firstRemoteSeq: seq - 7 }, theirs: { seq: seq - 7 } };
  await withRig(
    { ...rig, path: { loss: 0.02, late: 0.1, lateMs: 2, seed: 3 } },
    (rig) => exchange(rig, MIB, MIB),
  );
}, { skip });

test("UDX interop: the reference keeps within our window while nobody reads", async () => {
  await withRig({ ours: { maxReceiveBytes: 256 * 1024 } }, async ({ peer, stream, reader }) => {
    stream.pause();
    const written = peer.ask("write", { stream: "s", seed: 1, bytes: 2 * MIB });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const { inflight } = await peer.ask("stats", { stream: "s" });
    assert.equal(reader.received, 0);
    assert(stream.stats.bytesReceived < 400 * 1024, `${stream.stats.bytesReceived} bytes came`);
    assert(inflight <= 32 * 1024);
    stream.resume();
    await written;
    await reader.until(() => reader.received === 2 * MIB);
    assert.equal(reader.hash, patternHash(1, 2 * MIB));
  });
}, { skip });

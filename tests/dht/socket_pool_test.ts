/** Sockets to punch from: their caps, their end, and what comes to them. */
import assert from "node:assert/strict";
import { ConnectError } from "../../core/runtime/errors.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { type PunchSocket, type SocketBinder, SocketPool } from "../../dht/punch/socket_pool.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { SimulatedNetwork } from "../../transports/memory/mod.ts";
import { UdxEndpoint } from "../../transports/udx/endpoint.ts";
import { test } from "../harness.ts";
import { bytes32 } from "./support.ts";

/** Hands out sockets that do nothing. */
class FakeBinder implements SocketBinder<PunchSocket> {
  readonly closed: PunchSocket[] = [];
  failure: Error | undefined;
  #port = 1;

  bind(): Promise<PunchSocket> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const address = SocketAddress.of("10.0.0.1", this.#port++);
    return Promise.resolve({ address, canSetTtl: true, onDatagram: undefined, send: () => true });
  }

  closeWhenIdle(socket: PunchSocket): Promise<void> {
    this.closed.push(socket);
    return Promise.resolve();
  }
}

function newPool() {
  const [clock, binder] = [new VirtualClock(), new FakeBinder()];
  const heard: string[] = [];
  const pool = new SocketPool({ clock }, binder, {
    onMessage: (_lease, datagram, from) => heard.push(`${datagram.length} bytes from ${from}`),
  });
  return { clock, binder, pool, heard };
}

const purpose = (n: number, host?: string) => ({ publicKey: bytes32(n), host });
const isLimit = (error: unknown) => error instanceof ConnectError && error.code === "LIMIT_EXCEEDED";

test("D4: half-open sockets are 32 in all, 4 for one key, 16 for one host, and the refusal says which", async () => {
  const { pool } = newPool();
  for (let i = 0; i < 4; i++) await pool.acquire(purpose(1, "11.0.0.1"));
  await assert.rejects(pool.acquire(purpose(1, "11.0.0.1")), /4 sockets of one peer/);
  for (let i = 0; i < 12; i++) await pool.acquire(purpose(10 + i, "11.0.0.1"));
  await assert.rejects(pool.acquire(purpose(50, "11.0.0.1")), /16 sockets of peers at 11\.0\.0\.1/);
  for (let i = 0; i < 16; i++) await pool.acquire(purpose(60 + i));
  await assert.rejects(pool.acquire(purpose(99)), isLimit);
  assert.equal(pool.halfOpenCount, 32);
});

/** A pool whose half-open sockets are all taken, each seen by enough nodes to be shared. */
async function fullPool() {
  const bench = newPool();
  const leases = [];
  for (let i = 0; i < 32; i++) {
    const lease = await bench.pool.acquire(purpose(i, `11.0.1.${i}`));
    for (let n = 0; n < 5; n++) {
      lease.addSample({ seenAs: SEEN_AS, node: SocketAddress.of(`12.0.0.${n}`, 1) });
    }
    leases.push(lease);
  }
  return { ...bench, leases };
}

const SEEN_AS = SocketAddress.of("11.9.9.9", 99);

test("D4: beyond 32 half-open sockets attempts share them, evenly, if the NAT in front is known", async () => {
  const { pool, leases } = await fullPool();
  const shared = await Promise.all(
    Array.from({ length: 64 }, (_, i) => pool.acquire(purpose(100 + i, `11.0.2.${i}`))),
  );
  assert.equal(pool.size, 32);
  for (const { socket } of leases) {
    assert.equal(shared.filter((lease) => lease.socket === socket).length, 2);
  }
  assert.deepEqual(shared[0]!.takeSamples()[4], { seenAs: SEEN_AS, node: SocketAddress.of("12.0.0.4", 1) });
  assert.deepEqual([shared[0]!.takeSamples(), leases[0]!.takeSamples()], [[], []]);
  for (const lease of [...leases, ...shared]) lease.release();
  assert.deepEqual([pool.size, pool.halfOpenCount], [0, 0]);
  assert.equal((await fullPool()).pool.hasRoom("11.0.2.1"), true);
});

test("D4: a socket that nothing is known about, and one with a peer of the same host, are not shared", async () => {
  const { pool } = newPool();
  const leases = await Promise.all(
    Array.from({ length: 32 }, (_, i) => pool.acquire(purpose(i, `11.0.1.${i}`))),
  );
  assert.equal(pool.hasRoom("11.0.2.1"), false);
  for (let n = 0; n < 4; n++) {
    leases[7]!.addSample({ seenAs: SEEN_AS, node: SocketAddress.of(`12.0.0.${n}`, 1) });
  }
  assert.equal(pool.hasRoom("11.0.1.7"), false);
  await assert.rejects(pool.acquire(purpose(99, "11.0.1.7")), isLimit);
  await assert.rejects(pool.acquire(purpose(99)), isLimit);
  assert.equal((await pool.acquire(purpose(99, "11.0.2.1"))).socket, leases[7]!.socket);
});

test("D4: a punch goes to whoever waits for its host, and the socket of a connection gets no more users", async () => {
  const { pool, leases, binder } = await fullPool();
  const late = await pool.acquire(purpose(99, "11.0.2.1"));
  const first = leases[0]!;
  assert.equal(late.socket, first.socket);
  const punches: string[] = [];
  first.onPunch = (from) => punches.push(`first ${from}`);
  late.onPunch = (from) => punches.push(`late ${from}`);
  const punch = (from: string) => first.socket.onDatagram!(new Uint8Array(1), SocketAddress.parse(from));
  punch("11.0.2.1:5");
  punch("11.0.1.0:6");
  punch("11.0.7.7:7");
  assert.deepEqual(punches, ["late 11.0.2.1:5", "first 11.0.1.0:6", "first 11.0.7.7:7"]);
  late.confirm();
  assert.equal(pool.halfOpenCount, 31);
  const fresh = await pool.acquire(purpose(98, "11.0.3.1"));
  assert.equal(pool.size, 33);
  first.release();
  punch("11.0.1.0:8");
  assert.equal(punches.at(-1), "late 11.0.1.0:8");
  late.release();
  assert.deepEqual([binder.closed, pool.size], [[first.socket], 32]);
  assert.notEqual(fresh.socket, first.socket);
});

test("D4: a confirmed or closed socket makes room, and so does one that could not be bound", async () => {
  const { pool, binder } = newPool();
  const leases = await Promise.all([1, 2, 3, 4].map(() => pool.acquire(purpose(1))));
  leases[0]!.confirm();
  leases[0]!.confirm();
  assert.equal(pool.halfOpenCount, 3);
  leases[1]!.release();
  assert.equal(pool.halfOpenCount, 2);
  binder.failure = new ConnectError("ADDRESS_IN_USE", "no descriptor is left");
  await assert.rejects(pool.acquire(purpose(1)), /descriptor/);
  assert.equal(pool.halfOpenCount, 2);
  assert.equal(pool.size, 3);
});

test("D4: dials of one's own have a cap of their own, and strangers cannot use it up", async () => {
  const { pool } = newPool();
  for (let i = 0; i < 32; i++) await pool.acquire(purpose(i));
  for (let i = 0; i < 256; i++) await pool.acquire({ ...purpose(1, "11.0.0.1"), isDial: true });
  await assert.rejects(pool.acquire({ ...purpose(1), isDial: true }), /256 sockets of our own dials/);
  assert.equal(pool.halfOpenCount, 32);
});

test("D4: the sockets of a birthday punch have a cap of their own", async () => {
  const { pool } = newPool();
  for (let i = 0; i < 256; i++) await pool.acquire({ ...purpose(1), isExtra: true });
  await assert.rejects(pool.acquire({ ...purpose(2), isExtra: true }), isLimit);
  assert.equal(pool.halfOpenCount, 0);
  await pool.acquire(purpose(1));
});

test("H22: a byte is a punch, all else is for the DHT", async () => {
  const { pool, heard } = newPool();
  const lease = await pool.acquire(purpose(1));
  const punches: string[] = [];
  lease.onPunch = (from) => punches.push(String(from));
  const from = SocketAddress.parse("11.0.0.1:1");
  lease.socket.onDatagram!(Uint8Array.of(0), from);
  lease.socket.onDatagram!(new Uint8Array(30), from);
  assert.deepEqual(punches, ["11.0.0.1:1"]);
  assert.deepEqual(heard, ["30 bytes from 11.0.0.1:1"]);
});

test("H22: a socket closes after its last use; a reusable one that was used lingers for 3 s", async () => {
  const { clock, pool, binder } = newPool();
  const plain = await pool.acquire(purpose(1));
  assert.ok(plain.retain());
  plain.release();
  assert.equal(binder.closed.length, 0);
  plain.release();
  assert.equal(binder.closed.length, 1);
  assert.ok(!plain.retain(), "it is gone");

  const reusable = await pool.acquire(purpose(1));
  reusable.confirm();
  reusable.setReusable(true);
  reusable.release();
  clock.run({ until: 2000 });
  assert.ok(reusable.retain());
  clock.run({ until: 10_000 });
  assert.equal(binder.closed.length, 1, "in use again");
  reusable.release();
  clock.run({ until: 12_999 });
  assert.equal(binder.closed.length, 1);
  clock.run({ until: 13_000 });
  assert.equal(binder.closed.length, 2);
  assert.equal(clock.pending, 0);
});

test("H22: a route lives as long as its socket, or until it turns out wrong", async () => {
  const { pool } = newPool();
  const address = SocketAddress.parse("11.0.0.1:1");
  const lease = await pool.acquire(purpose(1));
  pool.addRoute(bytes32(1), lease, address);
  assert.equal(pool.route(bytes32(1))?.lease, lease);
  pool.dropRoute(bytes32(1));
  assert.equal(pool.route(bytes32(1)), undefined);
  pool.addRoute(bytes32(1), lease, address);
  lease.close();
  assert.equal(pool.route(bytes32(1)), undefined);
  pool.addRoute(bytes32(1), lease, address);
  assert.equal(pool.route(bytes32(1)), undefined, "no route over a closed socket");
});

test("H22: a closed pool closes what it has and what is just being bound", async () => {
  const { pool, binder } = newPool();
  await pool.acquire(purpose(1));
  const late = pool.acquire(purpose(2));
  await pool.close();
  assert.ok((await late).isClosed);
  assert.equal(binder.closed.length, 2);
  assert.equal(pool.size, 0);
  await assert.rejects(pool.acquire(purpose(3)), TypeError);
});

test("H22: the sockets of a UDX endpoint go with its streams", async () => {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimulatedNetwork({ clock, random });
  const endpoint = new UdxEndpoint({ clock, random }, network.host());
  const pool = new SocketPool({ clock }, endpoint, { onMessage() {} });
  const lease = await pool.acquire(purpose(1));
  const stream = endpoint.createStream();
  stream.connect(lease.socket, 1, SocketAddress.of("11.0.0.99", 1));
  lease.release();
  assert.equal(endpoint.sockets.size, 1, "a stream uses it");
  stream.destroy();
  clock.run();
  assert.equal(endpoint.sockets.size, 0);
  await pool.close();
  await endpoint.close();
});

/**
 * `TcpTransport` and `Dialer` with a live reference peer, in both roles:
 *
 *     Connection on TcpTransport  <-- TCP on loopback -->  @hyperswarm/secret-stream on net.Socket in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Connection, openConnection } from "../../core/stream/connection.ts";
import { toHex } from "../../encoding/text.ts";
import { Dialer } from "../../transports/dialer.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { test } from "../harness.ts";
import { keyPair, pattern, ReferenceProcess, runtime, skip } from "./tcp_peer.ts";

const OUR_KEY = keyPair(1);
const THEIR_KEY = keyPair(2);
const SIZES = [1, 1000, 65_536, 1_000_000];

/** What the reference writes first: with IK the one who accepts takes nobody for proven who has not sent anything. */
const GREETING = Uint8Array.of(0x68, 0x69);

/** Sends both ways, ends, and checks each byte. */
async function exchange(opening: Promise<Connection>, peer: ReferenceProcess): Promise<void> {
  peer.tell("write", { hex: toHex(GREETING) });
  const connection = await opening;
  assert.equal(toHex(connection.remotePublicKey), toHex(THEIR_KEY.publicKey));
  assert.equal((await peer.next("open")).remotePublicKey, toHex(OUR_KEY.publicKey));
  const sending = (async () => {
    for (const size of SIZES) await connection.write(pattern(size, 1));
  })();
  for (const size of SIZES) {
    const bytes = pattern(size, 1);
    const { size: got, hex, sha256 } = await peer.next("data");
    assert.equal(got, size);
    if (size <= 64) assert.equal(hex, toHex(bytes));
    else assert.equal(sha256, createHash("sha256").update(bytes).digest("hex"));
  }
  await sending;
  for (const size of SIZES) peer.tell("writePattern", { size, n: 2 });
  peer.tell("end");
  const received: Uint8Array[] = [];
  for await (const chunk of connection) received.push(chunk);
  assert.deepEqual(received.shift(), GREETING);
  assert.deepEqual(received.map((chunk) => chunk.length), SIZES);
  received.forEach((chunk, i) => assert.deepEqual(chunk, pattern(SIZES[i]!, 2)));
  await connection.close();
  await peer.next("close");
}

for (const noise of ["IK", "XX"] as const) {
  test(`the reference dials us over TCP (${noise})`, async () => {
    const transport = new TcpTransport(runtime, { host: "127.0.0.1" });
    const accepted = Promise.withResolvers<Connection>();
    const listener = await transport.listen(({ duplex }) => {
      accepted.resolve(
        openConnection(duplex, runtime, { isInitiator: false, keyPair: OUR_KEY, pattern: noise }),
      );
    });
    const peer = new ReferenceProcess({
      listen: false,
      port: Number(listener.addresses[0]!.split(":").at(-1)),
      isInitiator: true,
      seed: 2,
      keepAlive: 5000,
      pattern: noise,
      remotePublicKey: toHex(OUR_KEY.publicKey),
    });
    await exchange(accepted.promise, peer);
    await Promise.all([peer.close(), transport.close()]);
  }, { skip });

  test(`we dial the reference over TCP (${noise})`, async () => {
    const transport = new TcpTransport(runtime);
    const peer = new ReferenceProcess({
      listen: true,
      isInitiator: false,
      seed: 2,
      keepAlive: 5000,
      pattern: noise,
    });
    const { address } = await peer.next("listening");
    const target = `tcp:127.0.0.1:${address.port}`;
    const opening = noise === "IK"
      ? new Dialer(runtime, { transports: [transport], keyPair: OUR_KEY })
        .connect({ publicKey: THEIR_KEY.publicKey, addresses: [target] })
      : openConnection((await transport.dial(target)).duplex, runtime, {
        isInitiator: true,
        keyPair: OUR_KEY,
        pattern: "XX",
      });
    await exchange(opening, peer);
    await Promise.all([peer.close(), transport.close()]);
  }, { skip });
}

test("a reference peer that is killed is a reset, and one of another key is the wrong peer", async () => {
  const transport = new TcpTransport(runtime);
  const dialer = new Dialer(runtime, { transports: [transport], keyPair: OUR_KEY });
  for (const seed of [2, 3]) {
    const peer = new ReferenceProcess({ listen: true, isInitiator: false, seed, pattern: "IK" });
    const { address } = await peer.next("listening");
    const record = { publicKey: THEIR_KEY.publicKey, addresses: [`tcp:127.0.0.1:${address.port}`] };
    if (seed === 3) {
      await assert.rejects(dialer.connect(record), { code: "WRONG_PEER" });
    } else {
      const connection = await dialer.connect(record);
      peer.kill();
      await assert.rejects(connection.closed, { name: "ConnectError" });
    }
    await peer.close();
  }
  await transport.close();
}, { skip });

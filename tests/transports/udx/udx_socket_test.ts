import assert from "node:assert/strict";
import { VirtualClock } from "../../../core/runtime/virtual.ts";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import type { DatagramNetwork, DatagramReceiver, DatagramSocket } from "../../../transports/datagram.ts";
import { UdxEndpoint } from "../../../transports/udx/mod.ts";
import { test } from "../../harness.ts";

const TO = SocketAddress.of("11.0.0.1", 4000);

/** A network that notes how it was called. */
class NotingNetwork implements DatagramNetwork {
  readonly maxDatagramBytes = 1472;
  readonly calls: string[] = [];
  readonly receivers: DatagramReceiver[] = [];
  /** Datagrams of a batch that are taken. */
  room = Infinity;

  bind(_options: object, receiver: DatagramReceiver): Promise<DatagramSocket> {
    this.receivers.push(receiver);
    return Promise.resolve({
      address: SocketAddress.of("11.0.0.2", 1000 + this.receivers.length),
      canSetTtl: false,
      send: (datagram) => (this.calls.push(`send ${datagram.length}`), true),
      sendBatch: (_batch, count) => (this.calls.push(`batch ${count}`), Math.min(count, this.room)),
      close: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }
}

test("packets of one pass go out as a batch where the network has batches", async () => {
  const clock = new VirtualClock();
  const network = new NotingNetwork();
  const endpoint = new UdxEndpoint({ clock, random: new SeededRandom(1) }, network);
  const socket = await endpoint.bind();
  const stream = endpoint.createStream();
  stream.connect(socket, 7, TO);
  stream.write(new Uint8Array(5000));
  clock.run({ until: 1 });
  assert.deepEqual(network.calls, ["batch 5"]);
  assert.equal(socket.counters.datagramsSent, 5);
  socket.send(new Uint8Array(3), TO);
  assert.deepEqual(network.calls.slice(1), ["send 3"]);
  await endpoint.close();
});

test("what the network does not take of a batch is counted, and sent again later", async () => {
  const clock = new VirtualClock();
  const network = new NotingNetwork();
  network.room = 2;
  const endpoint = new UdxEndpoint({ clock, random: new SeededRandom(1) }, network);
  const socket = await endpoint.bind();
  const stream = endpoint.createStream();
  stream.connect(socket, 7, TO);
  stream.write(new Uint8Array(5000));
  clock.run({ until: 1 });
  assert.equal(socket.counters.sendsDropped, 3);
  clock.run({ until: 3000 });
  assert.ok(stream.stats.retransmits > 0);
  await endpoint.close();
});

test("U23: an endpoint counts what its sockets count, the closed ones too", async () => {
  const network = new NotingNetwork();
  const endpoint = new UdxEndpoint({ clock: new VirtualClock(), random: new SeededRandom(1) }, network);
  const [one, two] = [await endpoint.bind(), await endpoint.bind()];
  one.send(new Uint8Array(10), TO);
  two.send(new Uint8Array(20), TO);
  network.receivers[1]!.onDatagram(new Uint8Array(40), TO);
  const expected = {
    datagramsSent: 2,
    bytesSent: 30,
    sendsDropped: 0,
    datagramsReceived: 1,
    bytesReceived: 40,
    strays: 0,
  };
  assert.deepEqual(endpoint.counters, expected);
  await two.close();
  assert.deepEqual(endpoint.counters, expected);
  await endpoint.close();
});

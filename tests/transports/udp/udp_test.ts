/** What the conformance suite does not ask of the host's UDP: families, multicast, choice. */
import assert from "node:assert/strict";
import { Socket } from "node:dgram";
import { SocketAddress } from "../../../encoding/address.ts";
import type { BindOptions, DatagramSocket } from "../../../transports/datagram.ts";
import { hasListenDatagram, NodeUdpNetwork, udpNetwork } from "../../../transports/udp/mod.ts";
import { test } from "../../harness.ts";

/** Sends one datagram from `from` to `to` and resolves to what the receiver saw as its source. */
async function cross(
  network: NodeUdpNetwork,
  from: BindOptions,
  to: BindOptions,
  at: (port: number) => SocketAddress,
): Promise<{ source: SocketAddress; sender: SocketAddress }> {
  const seen = Promise.withResolvers<SocketAddress>();
  const receiver = await network.bind(to, { onDatagram: (_, source) => seen.resolve(source) });
  const sender = await network.bind(from, { onDatagram: () => {} });
  sender.send(new Uint8Array(10), at(receiver.address.port));
  const source = await seen.promise;
  await Promise.all([sender.close(), receiver.close()]);
  return { source, sender: sender.address };
}

test("a socket on :: hears and speaks IPv4, and sees IPv4 addresses as such", async () => {
  const network = new NodeUdpNetwork();
  const v4 = (port: number) => SocketAddress.of("127.0.0.1", port);
  const heard = await cross(network, { host: "127.0.0.1" }, { host: "::" }, v4);
  assert.equal(heard.source.toString(), heard.sender.toString());
  const spoken = await cross(network, { host: "::" }, { host: "127.0.0.1" }, v4);
  assert.equal(spoken.source.toString(), `127.0.0.1:${spoken.sender.port}`);
});

test("an IPv6-only socket leaves the IPv4 port to others", async () => {
  const network = new NodeUdpNetwork();
  const receiver = { onDatagram: () => {} };
  const six = await network.bind({ host: "::", ipv6Only: true }, receiver);
  const four = await network.bind({ host: "0.0.0.0", port: six.address.port }, receiver);
  assert.equal(four.address.port, six.address.port);
  assert.equal(six.canSetTtl, false);
  assert.equal(four.canSetTtl, true);
  await Promise.all([six.close(), four.close()]);
});

test("a multicast group can be joined on loopback, and a host address is none", async () => {
  const network = new NodeUdpNetwork();
  const heard = Promise.withResolvers<number>();
  const options = { port: 0, reuseAddress: true };
  const socket: DatagramSocket = await network.bind(options, {
    onDatagram: (datagram) => heard.resolve(datagram.length),
  });
  socket.joinMulticast!("239.255.77.7", "127.0.0.1");
  socket.setMulticast!({ ttl: 1, loopback: true, interfaceAddress: "127.0.0.1" });
  socket.send(new Uint8Array(33), SocketAddress.of("239.255.77.7", socket.address.port));
  assert.equal(await heard.promise, 33);
  assert.throws(() => socket.joinMulticast!("10.0.0.1"), { name: "ConnectError", code: "ADDRESS_UNUSABLE" });
  await socket.close();
});

test("two sockets share a port if both ask for it", async () => {
  const network = new NodeUdpNetwork();
  const receiver = { onDatagram: () => {} };
  const one = await network.bind({ reuseAddress: true }, receiver);
  const two = await network.bind({ reuseAddress: true, port: one.address.port }, receiver);
  assert.equal(two.address.port, one.address.port);
  await Promise.all([one.close(), two.close()]);
});

test("the network that is chosen can do what is asked for", () => {
  assert.equal(udpNetwork({ needTtl: true }).canSetTtl, true);
  assert.equal(udpNetwork({ needMulticast: true }).canJoinMulticast, true);
  assert.equal(udpNetwork().name, hasListenDatagram() ? "Deno.listenDatagram" : "node:dgram");
});

test(
  "what the host has not sent yet stays as it was, though all sockets share memory for sending",
  async () => {
    const network = new NodeUdpNetwork();
    const [one, two] = [
      await network.bind({ host: "127.0.0.1" }, { onDatagram: () => {} }),
      await network.bind({ host: "127.0.0.1" }, { onDatagram: () => {} }),
    ];
    const { send, getSendQueueCount } = Socket.prototype;
    const queued: Uint8Array[] = [];
    // A kernel without room: the host keeps references, and says so.
    const queue = (bytes: Uint8Array, _port: number, _host: string, onSent: () => void) => {
      queued.push(bytes);
      setImmediate(onSent);
    };
    Socket.prototype.send = queue as typeof send;
    Socket.prototype.getSendQueueCount = () => queued.length;
    try {
      for (const [socket, byte] of [[one, 1], [two, 2]] as const) {
        socket.send(Uint8Array.of(byte), SocketAddress.of("127.0.0.1", 9));
      }
      assert.deepEqual(queued.map(([byte]) => byte), [1, 2]);
    } finally {
      Object.assign(Socket.prototype, { send, getSendQueueCount });
    }
    await Promise.all([one.close(), two.close()]);
  },
  { skip: "Deno" in globalThis ? "Deno copies what it sends" : undefined },
);

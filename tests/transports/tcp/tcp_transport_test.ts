import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { loadCryptoProvider } from "../../../core/crypto/provider.ts";
import { SystemClock, SystemRandom } from "../../../core/runtime/system.ts";
import { VirtualClock } from "../../../core/runtime/virtual.ts";
import { equals } from "../../../encoding/mod.ts";
import { Dialer } from "../../../transports/dialer.ts";
import { localHosts } from "../../../transports/interfaces.ts";
import { TcpTransport, type TcpTransportOptions } from "../../../transports/tcp/mod.ts";
import type { Link } from "../../../transports/transport.ts";
import { test } from "../../harness.ts";

const clock = new SystemClock();

async function withTransport(
  options: TcpTransportOptions,
  body: (transport: TcpTransport) => Promise<void>,
): Promise<void> {
  const transport = new TcpTransport({ clock }, options);
  try {
    await body(transport);
  } finally {
    await transport.close();
  }
}

/** Attaches a sink that only notes how the link closed. */
function closeOf(link: Link): Promise<Error | undefined> {
  return new Promise((resolve) => {
    link.duplex.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: resolve });
  });
}

const portOf = (address: string) => Number(/:(\d+)$/.exec(address)![1]);

test("one listener takes both families, and tells all addresses of this host", async () => {
  await withTransport({}, async (transport) => {
    const links: Link[] = [];
    const { addresses } = await transport.listen((link) => links.push(link));
    const port = portOf(addresses[0]!);
    const hosts = localHosts();
    assert.equal(addresses.length, hosts.length || 2);
    for (const address of [`tcp:127.0.0.1:${port}`, `tcp:[::1]:${port}`]) {
      assert.equal((await transport.dial(address)).remoteAddress, address);
    }
    while (links.length < 2) await new Promise((resolve) => clock.defer(() => resolve(undefined)));
    // A mapped address is told as what it is.
    assert.deepEqual(
      links.map(({ remoteAddress }) => remoteAddress.replace(/\d+$/, "N")).sort(),
      ["tcp:127.0.0.1:N", "tcp:[::1]:N"],
    );
  });
});

test("errors of the system become errors that say what to do", async () => {
  await withTransport({ host: "127.0.0.1" }, async (transport) => {
    await assert.rejects(transport.dial("tcp:127.0.0.1:1"), {
      name: "ConnectError",
      code: "CONNECTION_REFUSED",
      message: /tcp:127\.0\.0\.1:1: nobody listens/,
    });
    const { addresses } = await transport.listen(() => {});
    await withTransport({ host: "127.0.0.1", port: portOf(addresses[0]!) }, async (other) => {
      await assert.rejects(other.listen(() => {}), { code: "ADDRESS_IN_USE" });
    });
    await withTransport({ host: "11.255.255.254" }, async (other) => {
      await assert.rejects(other.listen(() => {}), { code: "ADDRESS_UNUSABLE" });
    });
  });
});

test("an address that stays silent is given up after the time that was asked for", async () => {
  const virtual = new VirtualClock();
  const transport = new TcpTransport({ clock: virtual }, { host: "127.0.0.1", dialTimeoutMs: 700 });
  const { addresses } = await transport.listen(() => {});
  const dialing = transport.dial(addresses[0]!);
  const outcome = assert.rejects(dialing, { code: "TIMEOUT", message: /no answer within 700 ms/ });
  // The virtual clock gets there before the kernel can answer.
  virtual.run({ until: 700 });
  await outcome;
  assert.equal(virtual.pending, 0, "no timer is left");
  await transport.close();
});

test("links beyond the limit are hung up on, and there is room again when others close", async () => {
  await withTransport({ host: "127.0.0.1", maxLinks: 2 }, async (transport) => {
    const accepted: Link[] = [];
    const { addresses } = await transport.listen((link) => accepted.push(link));
    const first = await transport.dial(addresses[0]!);
    const second = await transport.dial(addresses[0]!);
    // The third is reset, perhaps before its dial is done.
    const third = transport.dial(addresses[0]!).then(closeOf, (error) => error);
    assert.equal((await third).code, "CONNECTION_RESET");
    assert.equal(accepted.length, 2);
    const closed = Promise.all(accepted.map(closeOf));
    for (const { duplex } of [first, second]) duplex.destroy();
    await closed;
    await transport.dial(addresses[0]!);
    while (accepted.length < 3) await new Promise((resolve) => clock.defer(() => resolve(undefined)));
  });
});

test("a reset that comes together with data is an error and not an end", async () => {
  await withTransport({ host: "127.0.0.1" }, async (transport) => {
    const accepting = Promise.withResolvers<Link>();
    const { addresses } = await transport.listen(accepting.resolve);
    const socket = net.connect({ host: "127.0.0.1", port: portOf(addresses[0]!) });
    await once(socket, "connect");
    const link = await accepting.promise;
    socket.write(new Uint8Array(1000));
    socket.resetAndDestroy();
    await once(socket, "close");
    assert.equal((await closeOf(link) as { code?: string }).code, "CONNECTION_RESET");
  });
});

test("closing the transport drops its links, gives up its dials and frees its ports", async () => {
  const transport = new TcpTransport({ clock }, { host: "127.0.0.1" });
  const { addresses } = await transport.listen(() => {});
  const link = await transport.dial(addresses[0]!);
  const isClosed = closeOf(link);
  const dialing = transport.dial(addresses[0]!);
  const outcome = dialing.then(() => "open", (error) => error.code);
  await transport.close();
  assert.ok(await isClosed instanceof Error);
  assert.equal(await outcome, "CONNECTION_CLOSED");
  await withTransport({ host: "127.0.0.1", port: portOf(addresses[0]!) }, async (other) => {
    await other.listen(() => {});
  });
});

test("a dialer connects over TCP to a peer whose key it knows, and to nobody else", async () => {
  const runtime = { clock, random: new SystemRandom(), crypto: await loadCryptoProvider() };
  const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
  await withTransport({ host: "127.0.0.1" }, async (transport) => {
    const server = new Dialer(runtime, { transports: [transport], keyPair: keyPair(1) });
    const client = new Dialer(runtime, { transports: [transport], keyPair: keyPair(2) });
    const listener = await server.listen(async (connection) => {
      assert.ok(equals(connection.remotePublicKey, client.publicKey));
      await connection.write(new TextEncoder().encode("hello"));
      await connection.close();
    });
    const connection = await client.connect(listener.record);
    const texts: string[] = [];
    for await (const chunk of connection) texts.push(new TextDecoder().decode(chunk));
    assert.equal(texts.join(""), "hello");
    await connection.close();
    const stranger = { publicKey: keyPair(3).publicKey, addresses: listener.record.addresses };
    await assert.rejects(client.connect(stranger), { code: "WRONG_PEER" });
    await listener.close();
  });
});

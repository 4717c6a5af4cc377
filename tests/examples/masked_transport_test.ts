/** The sample of a third-party transport: its length, the conformance suite, and a connection through it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { once } from "node:events";
import { MaskedTransport } from "../../examples/masked_transport.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { SystemClock } from "../../core/runtime/system.ts";
import { Dialer } from "../../transports/dialer.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { realTime, testTransport, type TransportUnderTest } from "../../transports/testing.ts";
import { test } from "../harness.ts";

const MASK = Uint8Array.of(0x5a, 0xc3, 0x17);
const sample = new URL("../../examples/masked_transport.ts", import.meta.url);

function under(): Promise<TransportUnderTest> {
  const clock = new SystemClock();
  const tcp = new TcpTransport({ clock }, { host: "127.0.0.1" });
  const transport = new MaskedTransport(tcp, MASK);
  return Promise.resolve({
    dialer: transport,
    listener: transport,
    vacantAddress: "masked:127.0.0.1:1",
    invalidAddresses: ["masked:", "masked:nowhere:1"],
    until: realTime(clock),
    [Symbol.asyncDispose]: () => tcp.close(),
  });
}

for (const { name, run } of testTransport(under)) test(`the sample transport: ${name}`, run);

test("the sample transport has fewer than 100 lines", () => {
  assert.ok(readFileSync(sample, "utf8").split("\n").length - 1 < 100);
});

test("the sample transport carries encrypted connections, and masks what it carries", async () => {
  const runtime = await loadSystemRuntime();
  const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
  const tcp = new TcpTransport(runtime, { host: "127.0.0.1" });
  const transport = new MaskedTransport(tcp, MASK);
  const server = new Dialer(runtime, { transports: [transport], keyPair: keyPair(1) });
  const listener = await server.listen(async (connection) => {
    for await (const chunk of connection) await connection.write(chunk);
    await connection.close();
  });
  const client = new Dialer(runtime, { transports: [transport], keyPair: keyPair(2) });
  const connection = await client.connect(listener.record);
  await connection.write(Uint8Array.of(1, 2, 3));
  for await (const chunk of connection) {
    assert.deepEqual([...chunk], [1, 2, 3]);
    break;
  }
  await connection.close();

  const spy = net.createServer();
  spy.listen(0, "127.0.0.1");
  await once(spy, "listening");
  const accepting = once(spy, "connection");
  const link = await transport.dial(`masked:127.0.0.1:${(spy.address() as net.AddressInfo).port}`);
  const [socket] = await accepting as [net.Socket];
  link.duplex.write(Uint8Array.of(0, 0, 0, 0));
  assert.deepEqual([...(await once(socket, "data") as [Uint8Array])[0]], [0x5a, 0xc3, 0x17, 0x5a]);
  socket.destroy();
  spy.close();
  await Promise.all([tcp.close(), once(spy, "close")]);
});

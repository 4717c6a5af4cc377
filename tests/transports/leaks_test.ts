import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { macrotask } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { Dialer } from "../../transports/dialer.ts";
import { SimulatedNetwork } from "../../transports/memory/mod.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";
import { test } from "../harness.ts";

/** Longer than a finished stream answers its peer. */
const LINGER_MS = 60_000;

test("a thousand connections, opened and closed in all ways, leave no stream, timer or packet", async () => {
  const clock = new VirtualClock();
  const random = new SeededRandom(11);
  const network = new SimulatedNetwork({
    clock,
    random: random.fork("network"),
    wan: { latencyMs: 5, loss: [1, 100] },
  });
  const runtime = { clock, random: random.fork("runtime"), crypto: await loadCryptoProvider() };
  const [near, far] = [new UdxTransport(runtime, network.host()), new UdxTransport(runtime, network.host())];
  const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
  const client = new Dialer(runtime, { transports: [near], keyPair: keyPair(1) });
  const server = new Dialer(runtime, { transports: [far], keyPair: keyPair(2) });
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settled = promise.finally(() => isSettled = true);
    settled.catch(() => {});
    await clock.runAsync(macrotask, { until: clock.now() + LINGER_MS, stop: () => isSettled });
    return await settled;
  };

  let echoed = 0;
  let open = 0;
  const listener = await server.listen(async (connection: Connection) => {
    open++;
    connection.closed.catch(() => {}).finally(() => open--);
    for await (const chunk of connection) {
      echoed += chunk.length;
      await connection.write(chunk);
    }
    await connection.close();
  });
  const idlePending = clock.pending;
  for (let i = 0; i < 1000; i++) {
    const connection = await run(client.connect(listener.record));
    const reader = connection[Symbol.asyncIterator]();
    await run(connection.write(new Uint8Array(100).fill(i)));
    await run(reader.next());
    if (i % 3 === 0) connection.abort(new Error("enough"));
    else await run(connection.close());
  }
  await clock.runAsync(macrotask, { until: clock.now() + LINGER_MS });
  assert.equal(echoed, 100_000);
  assert.equal(open, 0);
  assert.equal(near.endpoint.streamCount, 0);
  assert.equal(far.endpoint.streamCount, 0);
  assert.equal(network.inFlight, 0);
  assert.ok(clock.pending <= idlePending, `${clock.pending} timers where there were ${idlePending}`);
  await listener.close();
  await run(Promise.all([near.close(), far.close()]));
  assert.equal(clock.pending, 0);
});

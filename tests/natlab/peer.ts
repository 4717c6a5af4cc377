/**
 * A peer for a laboratory of real NATs, driven by its command line and heard through JSON lines on stdout: a server that echoes,
 * or a client that connects once, has 64 KiB echoed, and tells how and how fast.
 *
 *     deno run -A tests/natlab/peer.ts server --bootstrap HOST:PORT,...
 *     deno run -A tests/natlab/peer.ts client --key HEX --bootstrap HOST:PORT,... [--timeout SECONDS]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { HyphaError } from "../../core/runtime/errors.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/mod.ts";
import { equals, fromHex, toHex } from "../../encoding/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";

const ECHO_BYTES = 65_536;

const { values, positionals: [role] } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    bootstrap: { type: "string", default: "" },
    key: { type: "string", default: "" },
    timeout: { type: "string", default: "60" },
  },
});

function tell(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

async function serve(dht: Dht): Promise<void> {
  const server = dht.createServer();
  await server.listen();
  tell({ event: "ready", key: toHex(server.publicKey!), firewalled: dht.rpc.firewalled });
  for await (const connection of server) {
    void (async () => {
      for await (const chunk of connection) await connection.write(chunk);
      await connection.close();
    })().catch(() => {});
  }
}

async function dial(dht: Dht, now: () => number): Promise<object> {
  const startedAt = now();
  const since = () => Math.round(now() - startedAt);
  const signal = AbortSignal.timeout(Number(values.timeout) * 1000);
  try {
    const connection = await dht.connect(fromHex(values.key), { signal });
    const connectMs = since();
    const payload = crypto.getRandomValues(new Uint8Array(ECHO_BYTES));
    await connection.write(payload.slice());
    let got = 0;
    for await (const chunk of connection) {
      if (!equals(chunk, payload.subarray(got, got + chunk.length))) throw new Error("The echo differs");
      got += chunk.length;
      if (got === payload.length) break;
    }
    const path = connection.path.kind === "relayed" ? "relayed" : "direct";
    return { connected: true, connectMs, echoMs: since(), path, kind: connection.path.kind };
  } catch (error) {
    const reason = error instanceof HyphaError ? error.code : String(error);
    return { connected: false, failMs: since(), error: reason, message: (error as Error).message };
  }
}

process.on("SIGTERM", () => process.exit(0));
const runtime = await loadSystemRuntime();
const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap: values.bootstrap.split(",") });
await dht.open();
await dht.ready();
if (role === "server") {
  await serve(dht);
} else {
  tell({ event: "result", ...await dial(dht, () => runtime.clock.now()) });
  await dht.close({ force: true });
  process.exit(0);
}

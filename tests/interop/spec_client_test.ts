/** A client that was written from `docs/spec/` alone talks to servers of the reference in their network, and to ours in ours. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/dht.ts";
import { fromHex } from "../../encoding/text.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { utf8 } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { SpecClient } from "./spec_client.ts";
import { Child, skip } from "./udx_support.ts";

const HOST = "127.0.0.1";
const MODES = ["open", "punch"] as const;

/** Connects to a server that echoes, says a few things, and ends. */
async function converse(publicKey: Uint8Array, port: number, mode: "open" | "punch"): Promise<void> {
  const client = new SpecClient();
  await client.connect(publicKey, { host: HOST, port }, mode);
  for (const text of ["hello", "x".repeat(1000), "and good bye"]) {
    client.send(utf8(text));
    assert.equal(new TextDecoder().decode(await client.receive()), text);
  }
  assert.equal(client.isPunched, mode === "punch");
  await client.close();
  assert.equal(await client.receive(), undefined);
}

test(
  "a client written from the text finds a peer of the reference, connects, punches and talks to it",
  async () => {
    await using child = new Child("dht_peer.mjs");
    const ask = async (op: string, details = {}) =>
      await child.ask(op, details) as unknown as { port: number; publicKey: string };
    const { port } = await ask("testnet", { size: 8 });
    await ask("node", { name: "server", port, quickFirewall: false, ephemeral: true });
    const { publicKey } = await ask("listen", {
      name: "echo",
      node: "server",
      seed: 21,
      shareLocalAddress: false,
    });
    for (const mode of MODES) await converse(fromHex(publicKey), port, mode);
    await ask("stop");
  },
  { skip },
);

test("a client written from the text finds a peer of ours, connects, punches and talks to it", async () => {
  const socket = createSocket("udp4");
  socket.bind(0, HOST);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  const runtime = await loadSystemRuntime();
  const network = udpNetwork({ needTtl: true });
  const nodes = [Dht.bootstrapper(runtime, network, { host: HOST, port }, { host: HOST })];
  await nodes[0]!.open();
  for (let i = 1; i < 8; i++) {
    const role = i < 7 ? { ephemeral: false, firewalled: false } : { quickFirewall: false, ephemeral: true };
    const node = new Dht(runtime, network, { bootstrap: [`${HOST}:${port}`], host: HOST, port: 0, ...role });
    nodes.push(node);
    await node.open();
    await node.ready();
  }
  const server = nodes.at(-1)!.createServer({ shareLocalAddress: false });
  server.on("connection", async ({ detail: { connection } }) => {
    for await (const chunk of connection) await connection.write(chunk);
    await connection.close();
  });
  await server.listen();
  for (const mode of MODES) await converse(server.publicKey!, port, mode);
  for (const node of nodes.reverse()) await node.close({ force: true });
});

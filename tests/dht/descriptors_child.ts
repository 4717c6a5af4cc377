/**
 * A program with few file descriptors whose server strangers flood with handshakes, each of which wants a socket of its own to be
 * punched to. Takes nearly all descriptors itself, so that no socket can be bound; then gives them back, and an honest peer dials.
 * Tells on stdout what came of it; whatever ends it before is the failure.
 */
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Command, RelayMode } from "../../dht/constants.ts";
import { Dht } from "../../dht/dht.ts";
import { PeerHandshaking } from "../../dht/handshake.ts";
import { peerHandshake } from "../../dht/handshake_messages.ts";
import { Firewall } from "../../dht/punch/constants.ts";
import { encodeRequest } from "../../dht/rpc/messages.ts";
import { dhtNamespaces, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { encode } from "../../encoding/codec.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";

const HANDSHAKES = 300;
const NODES = 5;
const MAX_TRIES = 10;
const LEFT = 8;
const host = "127.0.0.1";

const runtime = await loadSystemRuntime();
const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
const open = async (dht: Dht) => {
  await dht.open();
  await dht.ready();
  return dht;
};

/** Opens files until there are few descriptors left: with none at all, Deno itself gives up. */
function takeDescriptors(): number[] {
  const taken: number[] = [];
  try {
    while (true) taken.push(openSync(fileURLToPath(import.meta.url), "r"));
  } catch {
    for (const descriptor of taken.splice(-LEFT)) closeSync(descriptor);
    return taken;
  }
}

const first = await open(Dht.bootstrapper(runtime, udpNetwork(), { host, port: 40_761 }, { host }));
const bootstrap = [`${host}:${first.rpc.serverSocket!.address.port}`];
const options = { bootstrap, host, port: 0 } as const;
const nodes = [first];
for (let i = 0; i < NODES; i++) {
  nodes.push(await open(new Dht(runtime, udpNetwork(), { ...options, ephemeral: false })));
}
// It believes to be behind a NAT, so that it wants to be punched to.
const node = await open(new Dht(runtime, udpNetwork(), { ...options, quickFirewall: false }));
const server = await node.createServer().listen();
const client = await open(new Dht(runtime, udpNetwork(), { ...options, quickFirewall: false }));

const to = SocketAddress.of(host, node.rpc.serverSocket!.address.port);
const relay = await udpNetwork().bind({ host, port: 0 }, { onDatagram() {} });
const target = targetOf(runtime.crypto, node.keyPair.publicKey);
const context = { runtime, namespaces: dhtNamespaces(runtime.crypto) };
async function flood(): Promise<void> {
  for (let i = 0; i < HANDSHAKES; i++) {
    const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
    const noise = new PeerHandshaking(context, keyPair, node.keyPair.publicKey).send({
      ...{ error: 0, firewall: Firewall.Unknown, addresses4: [], addresses6: [], secretStream: true },
      udx: { reusableSocket: false, id: i + 1, seq: 0 },
    });
    const peerAddress = SocketAddress.v4(0x28000000 + i * 256, 1000);
    const value = encode(peerHandshake, { mode: RelayMode.FromRelay, noise, peerAddress });
    const message = { tid: i, to, isInternal: false, command: Command.PeerHandshake, target, value };
    relay.send(encodeRequest(message), to);
    await wait(5);
  }
}

await flood();
const taken = takeDescriptors();
await flood();
for (const descriptor of taken) closeSync(descriptor);
// What the flood has left may keep it busy for a moment.
for (let tries = 1;; tries++) {
  const connection = await client.connect(node.keyPair.publicKey).catch((error) => {
    if (tries === MAX_TRIES) throw error;
    return wait(1000);
  });
  if (connection === undefined) continue;
  connection.abort();
  break;
}
console.log(JSON.stringify({ taken: taken.length, ...server.counters }));
await relay.close();
await Promise.all([client, node, ...nodes].map((dht) => dht.close({ force: true })));

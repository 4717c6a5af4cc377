/**
 * A peer with three ways to others, UDX, TCP and the DHT, as a program of its own.
 *
 *     fallback_peer.ts listen                            starts a network of the DHT at port 49737, and listens as a swarm
 *     fallback_peer.ts dial KEY ADDRESS,...              connects once, by a `Dialer` over UDX and TCP
 *     fallback_peer.ts swarm KEY ADDRESS,... BOOTSTRAP   connects by a `Swarm` over all three, and listens as well
 */
import process from "node:process";
import type { KeyPair } from "../../core/runtime/crypto_provider.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/mod.ts";
import { fromHex, toHex } from "../../encoding/mod.ts";
import { Swarm } from "../../swarm/mod.ts";
import { Dialer } from "../../transports/dialer.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import type { Transport } from "../../transports/transport.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";

const [role, key = "", addresses = "", ...bootstrap] = process.argv.slice(2);
const tell = (event: string, details: object = {}) => console.log(JSON.stringify({ event, ...details }));

const runtime = await loadSystemRuntime({ prefer: "wasm" });
const network = udpNetwork({ needTtl: true });
const startedAt = runtime.clock.now();
const sinceMs = () => Math.round(runtime.clock.now() - startedAt);
const keyPair: KeyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));

/** Tells of every dial that comes to something. */
function watched(transport: Transport): Transport {
  return {
    scheme: transport.scheme,
    dial: async (address, options) => {
      const link = await transport.dial(address, options);
      tell("linked", { address, ms: sinceMs() });
      return link;
    },
    listen: (onLink, options) => transport.listen(onLink, options),
  };
}

const transports = [
  watched(new UdxTransport(runtime, network, { host: "::" })),
  watched(new TcpTransport(runtime)),
];
const peer = { publicKey: fromHex(key), addresses: addresses.split(",") };

async function newSwarm(dht: Dht): Promise<Swarm> {
  await dht.open();
  const swarm = new Swarm(runtime, { transports, dht, keyPair });
  swarm.on("connection", ({ detail: { connection } }) => {
    tell("connected", { ms: sinceMs(), key: toHex(connection.remotePublicKey) });
  });
  return swarm;
}

if (role === "listen") {
  const address = { host: addresses, port: 49_737 };
  const swarm = await newSwarm(Dht.bootstrapper(runtime, network, address));
  tell("listening", { key: toHex(keyPair.publicKey), ...await swarm.listen(), publicKey: undefined });
} else if (role === "dial") {
  const dialer = new Dialer(runtime, { transports, keyPair });
  const connection = await dialer.connect(peer);
  tell("connected", { ms: sinceMs(), key: toHex(connection.remotePublicKey) });
} else {
  const swarm = await newSwarm(new Dht(runtime, network, { bootstrap }));
  swarm.joinPeer(peer);
  const record = await swarm.listen();
  tell("listening", { ms: sinceMs(), addresses: record.addresses });
}

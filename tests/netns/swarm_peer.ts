/**
 * A swarm of the local network as a program of its own: everything that hypha has, and no internet. Joins a topic, a word, and
 * tells whom it is connected with.
 *
 *     swarm_peer.ts NUMBER TOPIC
 */
import process from "node:process";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/mod.ts";
import { Swarm } from "../../swarm/mod.ts";
import { MdnsDiscovery } from "../../transports/mdns/mod.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";

const [number, topic] = process.argv.slice(2);
const tell = (event: string, details: object = {}) => console.log(JSON.stringify({ event, ...details }));

const runtime = await loadSystemRuntime({ prefer: "wasm" });
const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
const numberOf = new Map<string, number>();
for (let n = 1; n <= 9; n++) numberOf.set(keyPair(n).publicKey.join(), n);

// Nobody answers there, as without internet.
const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap: ["198.51.100.1:49737"] });
await dht.open();
const network = udpNetwork({ needMulticast: true });
const swarm = new Swarm(runtime, {
  dht,
  transports: [new UdxTransport(runtime, network, { host: "::" }), new TcpTransport(runtime)],
  discoveries: [new MdnsDiscovery(runtime, network)],
  keyPair: keyPair(Number(number)),
  channels: true,
  trace: ({ what, data }) => tell("trace", { what, data }),
});
const startedAt = runtime.clock.now();
swarm.on("connection", ({ detail: { connection, peer } }) => {
  const other = numberOf.get(connection.remotePublicKey.join());
  const ms = Math.round(runtime.clock.now() - startedAt);
  tell("connected", { other, ms, topics: peer.topics.length, addresses: peer.addresses });
  connection.closed.catch(() => {}).then(() => tell("closed", { other }));
});
swarm.join(new TextEncoder().encode(topic!.padEnd(32)));
tell("joined");

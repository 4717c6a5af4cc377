/**
 * A peer of the local network as a program of its own: announces itself by mDNS, accepts and dials over UDX and TCP, and tells
 * on stdout whom it meets. Its argument is the number that its key is made of; it dials the peers with smaller numbers.
 */
import process from "node:process";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dialer } from "../../transports/dialer.ts";
import { MdnsDiscovery } from "../../transports/mdns/mod.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { UdxTransport } from "../../transports/udx/mod.ts";

const number = Number(process.argv[2]);
const tell = (event: string, details: object = {}) => console.log(JSON.stringify({ event, ...details }));

const runtime = await loadSystemRuntime({ prefer: "wasm" });
const numberOf = new Map<string, number>();
const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
for (let n = 1; n <= 9; n++) numberOf.set(keyPair(n).publicKey.join(), n);

const network = udpNetwork({ needMulticast: true });
const transports = [new UdxTransport(runtime, network), new TcpTransport(runtime)];
const dialer = new Dialer(runtime, { transports, keyPair: keyPair(number) });
const listener = await dialer.listen(async (connection) => {
  tell("accepted", { from: numberOf.get(connection.remotePublicKey.join()) });
  await connection.write(Uint8Array.of(number));
});

const startedAt = runtime.clock.now();
const discovery = new MdnsDiscovery(runtime, network);
await discovery.announce(new Uint8Array(32), listener.record);
tell("announced", { addresses: listener.record.addresses });

async function meet(
  peer: { publicKey: Uint8Array; addresses: readonly string[] },
  other: number,
): Promise<void> {
  const connection = await dialer.connect(peer);
  for await (const [answer] of connection) {
    tell("met", { other, answer, ms: runtime.clock.now() - startedAt, addresses: peer.addresses });
    break;
  }
}

for await (const peer of discovery.peers()) {
  const other = numberOf.get(peer.publicKey.join());
  if (other !== undefined && other < number) {
    meet(peer, other).catch((error) => tell("failed", { other, message: String(error) }));
  }
}

/**
 * hypha: the Hyper peer-to-peer stack in TypeScript. This is the front door, with what most programs need; each part has
 * an entry point of its own with all there is.
 *
 * @example Two peers, one of whom knows the other's key and address.
 * ```ts
 * import { Dialer, loadSystemRuntime, udpNetwork, UdxTransport } from "./mod.ts";
 *
 * const runtime = await loadSystemRuntime();
 * await using transport = new UdxTransport(runtime, udpNetwork(), { host: "127.0.0.1" });
 * const newKeyPair = () => runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
 *
 * const alice = new Dialer(runtime, { transports: [transport], keyPair: newKeyPair() });
 * await using listener = await alice.listen(async (connection) => {
 *   await connection.write(new TextEncoder().encode("hello, whoever you are"));
 *   await connection.close();
 * });
 *
 * const bob = new Dialer(runtime, { transports: [transport], keyPair: newKeyPair() });
 * await using connection = await bob.connect(listener.record);
 * for await (const chunk of connection) {
 *   console.assert(new TextDecoder().decode(chunk) === "hello, whoever you are");
 * }
 * ```
 *
 * @module
 */
export {
  Connection,
  type ConnectionOptions,
  openConnection,
  type OpenConnectionOptions,
} from "./core/stream/connection.ts";
export { type CoreOptions, Corestore, type CorestoreOptions } from "./core/corestore.ts";
export { Hypercore } from "./core/hypercore.ts";
export type { GetOptions, HypercoreOptions, SessionOptions } from "./core/hypercore_options.ts";
export type { ReplicationPeer } from "./core/replication/peer.ts";
export {
  type Durability,
  MemoryStore,
  openSqliteStore,
  type SqliteStoreOptions,
  type Store,
} from "./core/storage/mod.ts";
export { loadSystemRuntime } from "./core/system_runtime.ts";
export type { Runtime } from "./core/runtime/runtime.ts";
export type { KeyPair } from "./core/runtime/crypto_provider.ts";
export {
  AssertionError,
  ConnectError,
  type ErrorCode,
  HyphaError,
  ProtocolError,
  StorageError,
} from "./core/runtime/errors.ts";
export { Dht, type DhtOptions } from "./dht/mod.ts";
export { Swarm, type SwarmOptions } from "./swarm/mod.ts";
export { Dialer, type DialerOptions, PeerListener } from "./transports/dialer.ts";
export type { Discovery, Link, Listener, PeerRecord, Transport } from "./transports/transport.ts";
export { type UdpNetwork, udpNetwork, type UdpNetworkOptions } from "./transports/udp/mod.ts";
export { MdnsDiscovery, type MdnsDiscoveryOptions } from "./transports/mdns/mod.ts";
export { TcpTransport, type TcpTransportOptions } from "./transports/tcp/mod.ts";
export { UdxTransport, type UdxTransportOptions } from "./transports/udx/mod.ts";

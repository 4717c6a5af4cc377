/**
 * The trunk of hypha: time, chance and cryptography as interfaces, encrypted streams, and channels on them.
 *
 * @example
 * ```ts
 * import { duplexPair, loadSystemRuntime, openConnection } from "./mod.ts";
 *
 * const runtime = await loadSystemRuntime();
 * const [near, far] = duplexPair();
 * const newKeyPair = () => runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
 * const [client, server] = await Promise.all([
 *   openConnection(near, runtime, { isInitiator: true, keyPair: newKeyPair() }),
 *   openConnection(far, runtime, { isInitiator: false, keyPair: newKeyPair() }),
 * ]);
 * await client.write(new TextEncoder().encode("hello"));
 * for await (const chunk of server) {
 *   console.assert(new TextDecoder().decode(chunk) === "hello");
 *   break;
 * }
 * await Promise.all([client.close(), server.close()]);
 * ```
 *
 * @module
 */
// Time, chance, failure
export type { Clock, Random, Runtime, Timer } from "./runtime/runtime.ts";
export { SystemClock, SystemRandom } from "./runtime/system.ts";
export { loadSystemRuntime } from "./system_runtime.ts";
export { SeededRandom, VirtualClock, type VirtualClockOptions } from "./runtime/virtual.ts";
export {
  AssertionError,
  ConnectError,
  type ErrorCode,
  HyphaError,
  ProtocolError,
  StorageError,
} from "./runtime/errors.ts";
export type { TraceEvent, Tracer } from "./runtime/trace.ts";
export { TypedEvent, TypedEventTarget, type TypedListener } from "./runtime/events.ts";

// Machines, for authors of protocols
export { type DeadlineEntry, Deadlines } from "./runtime/deadlines.ts";
export { Driver, type DriverHooks } from "./runtime/driver.ts";
export type { DatagramMachine, Machine, Transmit } from "./runtime/machine.ts";

// Cryptography
export type { Cipher, CryptoProvider, KeyPair, SecretStreamState } from "./runtime/crypto_provider.ts";
export { type CryptoProviderOptions, loadCryptoProvider } from "./crypto/provider.ts";
export { keyPairFromSeed, namespace, randomKeyPair } from "./crypto/keys.ts";
export { blake2b, discoveryKey } from "./crypto/hash.ts";
export { NoiseHandshake, type NoiseKeys, type NoiseOptions, type NoisePattern } from "./crypto/noise.ts";

// Streams
export type { Duplex, Sink, UnorderedMessages } from "./stream/duplex.ts";
export { duplexPair, type DuplexPairOptions } from "./stream/duplex_pair.ts";
export { SecretStream, type SecretStreamHooks } from "./stream/secret_stream.ts";
export type { NoiseSession, SecretStreamOptions } from "./stream/secret_options.ts";
export type { SecretUnordered } from "./stream/secret_unordered.ts";
export {
  Connection,
  type ConnectionOptions,
  openConnection,
  type OpenConnectionOptions,
} from "./stream/connection.ts";
export { Mux, type MuxOptions, type PairCallback } from "./stream/mux.ts";
export type {
  Channel,
  ChannelMessage,
  ChannelName,
  ChannelOptions,
  ChannelState,
  HandlerResult,
  MessageOptions,
} from "./stream/channel.ts";
export { fromNodeDuplex, toNodeDuplex } from "./stream/node_duplex.ts";

// Logs
export { Hypercore } from "./hypercore.ts";
export { HypercoreReader } from "./hypercore_reader.ts";
export { HypercoreWriter } from "./hypercore_writer.ts";
export { MAX_BLOCK_BYTES } from "./block_coding.ts";
export type {
  AppendingOptions,
  EncryptionOption,
  EncryptionProvider,
  GetOptions,
  HypercoreInfo,
  HypercoreOptions,
  LogOptions,
  SessionOptions,
  ValueEncoding,
  WaitOptions,
  WriteOptions,
} from "./hypercore_options.ts";
export type { BlockEvent, HypercoreEvents } from "./hypercore_events.ts";
export type { ByteStreamOptions, ReadStreamOptions } from "./read_streams.ts";
export { type CoreOptions, Corestore, type CorestoreEvents, type CorestoreOptions } from "./corestore.ts";
export {
  type GroupEvents,
  GroupNotifier,
  type GroupUpdate,
  type GroupUpdatesOptions,
} from "./group_notifier.ts";
export { Atom } from "./log/atom.ts";
export type { ReplicationStream } from "./attach.ts";
export type { Extension, ExtensionOptions } from "./replication/extensions.ts";
export type { ReplicationPeer } from "./replication/peer.ts";
export type { PeerSession } from "./replication/peer.ts";
export type { Range, RangeRequest } from "./replication/range_jobs.ts";
export type { PeerState, SideState, SyncState } from "./replication/sync_state.ts";
export type { ConflictProof } from "./replication/conflict.ts";

// Stores
export {
  type LogCheck,
  type LogStatistics,
  statStore,
  type VerifyOptions,
  verifyStore,
} from "./store_check.ts";
export {
  type CopyOptions,
  type CopyProgress,
  type CopyReport,
  copyStore,
  type LogReport,
  type LogVerdict,
  type RecordVerdict,
} from "./store_copy.ts";
export type { Recovered, RecoverOptions } from "./log_recovery.ts";
export { type LogRepair, removeUnreachable, type RepairOptions, repairStore } from "./store_repair.ts";

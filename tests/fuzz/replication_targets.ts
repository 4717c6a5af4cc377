/** Fuzz targets of `core/replication/`: every message, and a peer that says anything in any order. */
import assert from "node:assert/strict";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { logData, logRequest } from "../../core/log/proof_messages.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { MAX_REMOTE_ENTRIES } from "../../core/replication/constants.ts";
import {
  bitfield,
  cancel,
  extension,
  handshake,
  noData,
  ownedData,
  range,
  sync,
  want,
} from "../../core/replication/messages.ts";
import { RemoteBitfield } from "../../core/replication/remote_bitfield.ts";
import { Replicator } from "../../core/replication/replicator.ts";
import { RemoteWants } from "../../core/replication/wants.ts";
import { PROTOCOL } from "../../core/replication/constants.ts";
import { capability } from "../../core/replication/capability.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { rawBuffer } from "../../encoding/buffers.ts";
import { concat } from "../../encoding/bytes.ts";
import { type Codec, Cursor, decodeExact, encode } from "../../encoding/codec.ts";
import { MemoryReplica } from "../replication/memory_log.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const bytes = (length: number, n: number) => new Uint8Array(length).fill(n);

function codecTarget<T>(name: string, codec: Codec<T>, seeds: readonly T[]): FuzzTarget {
  return {
    name,
    seeds: seeds.map((value) => encode(codec, value)),
    run(input: Uint8Array): void {
      const again = encode(codec, codec.decode(new Cursor(input)));
      assert.deepEqual(encode(codec, decodeExact(codec, again)), again);
    },
  };
}

const state = {
  ...{ fork: 0, length: 9, remoteLength: 5, canUpgrade: true, isUploading: true, isDownloading: true },
  ...{ hasManifest: true, allowPush: true },
};

// --- A peer that says anything

const keyPair = crypto.keyPair(bytes(32, 1));
const HASH = bytes(64, 2);
const LENGTH = 9;
const blocks = Array.from({ length: LENGTH }, (_, i) => bytes(1 + i, i));
const writer = new MemoryReplica(
  { clock: new VirtualClock(), random: new SeededRandom("fuzz"), crypto },
  { keyPair },
);
writer.append(blocks);

/** A message of a script: its type, its length in one byte, its body. */
function part(type: number, body: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(type, body.length), body]);
}

/** An answer of the writer that takes less than 256 bytes. */
function answer(request: number, index: number): Uint8Array {
  const proof = writer.prove({ block: { index, nodes: 2 } });
  assert.ok(!(proof instanceof Promise) && proof !== undefined);
  return encode(logData, { request, ...proof });
}

const ask = (id: number, more: object) =>
  part(1, encode(logRequest, { id, fork: 0, manifest: false, priority: 0, ...more }));

const scripts = [
  concat([
    part(0, encode(sync, state)),
    part(8, encode(range, { isDrop: false, start: 0, length: 9 })),
    ask(1, { block: { index: 3, nodes: 2 }, priority: 1 }),
    part(2, encode(cancel, 1)),
    part(5, encode(want, { start: 0, length: 2 ** 21, isAny: false })),
    part(3, answer(1, 1)),
    part(4, encode(noData, { request: 2, reason: 1 })),
  ]),
  concat([
    part(0, encode(sync, { ...state, fork: 1, length: 20 })),
    part(7, encode(bitfield, { start: 32, bytes: bytes(8, 255) })),
    part(9, encode(extension, { name: "a", message: bytes(3, 1) })),
    part(6, encode(want, { start: 0, length: 64, isAny: true })),
    ask(0, { upgrade: { start: 0, length: 9 } }),
    part(3, answer(0, 2)),
  ]),
];

/** Plays a script to a replica that has some blocks, wants the rest, and takes pushes; then looks at it. */
function play(script: Uint8Array): string {
  const clock = new VirtualClock();
  const runtime = { clock, random: new SeededRandom("fuzz"), crypto };
  const log = new MemoryReplica(runtime, { keyPair });
  log.append(blocks.slice(0, 5));
  log.clear(1, 3);
  const replicator = new Replicator(log, { allowPush: true });
  replicator.isDownloading = true;
  replicator.requestRange({});
  const [near, far] = [...duplexPair({ framing: "message" })].map((duplex) => new Mux(duplex));
  replicator.attach(near!, { isInitiator: false, handshakeHash: HASH, remotePublicKey: bytes(32, 3) });
  const channel = far!.createChannel({ protocol: PROTOCOL, id: log.discoveryKey, handshake })!;
  const kinds = Array.from({ length: 10 }, () => channel.addMessage({ codec: rawBuffer }));
  channel.open({ canSeek: true, capability: capability(crypto, true, log.key, HASH) });
  for (let at = 0; at + 2 <= script.length;) {
    const [type, size] = [script[at]! % 10, script[at + 1]!];
    kinds[type]!.send(script.subarray(at + 2, at + 2 + size));
    at += 2 + size;
    clock.run({ until: clock.now() + 10 });
  }
  clock.run({ until: clock.now() + 5000, maxSteps: 10_000 });
  for (const [index, block] of log.blocks) assert.deepEqual(block, blocks[index]);
  assert.ok(log.tree.length === 5 || log.tree.length === LENGTH);
  void replicator.close();
  return `${near!.isDestroyed} ${log.blocks.size} ${log.tree.length} ${log.isFrozen}`;
}

/** Ranges and bits of a script: kind, start and length in units that reach over pages. */
function playRemote(script: Uint8Array): void {
  const remote = new RemoteBitfield();
  const wants = new RemoteWants();
  for (let at = 0; at + 4 <= script.length; at += 4) {
    const [kind, a, b, c] = [script[at]!, script[at + 1]!, script[at + 2]!, script[at + 3]!];
    const start = a * 2 ** (b % 46);
    if (kind % 3 === 0) remote.setRange(start, c * 1000, kind % 2 === 0);
    else if (kind % 3 === 1) remote.insert(start, script.subarray(at, at + 4));
    else wants.add({ start, length: 2 ** (c % 54), isAny: kind % 2 === 0 });
    if (c === 7) wants.remove({ start, length: 2 ** (kind % 30), isAny: false });
    wants.overlaps(start, start + c + 1);
  }
  assert.ok(remote.entryCount <= MAX_REMOTE_ENTRIES);
  assert.ok(remote.contiguousLength >= 0);
}

/** All targets of this folder. */
export const targets: readonly FuzzTarget[] = [
  codecTarget("handshake", handshake, [{ canSeek: true, capability: bytes(32, 5) }]),
  codecTarget("sync", sync, [state, { ...state, fork: 2 ** 40, allowPush: false }]),
  codecTarget("cancel", cancel, [1, 70_000]),
  codecTarget("noData", noData, [{ request: 3, reason: 0 }, { request: 3, reason: 2 }]),
  codecTarget("want", want, [{ start: 0, length: 2 ** 21, isAny: false }, {
    start: 5,
    length: 1,
    isAny: true,
  }]),
  codecTarget("bitfield", bitfield, [{ start: 64, bytes: bytes(8, 3) }]),
  codecTarget("range", range, [{ isDrop: false, start: 3, length: 1 }, {
    isDrop: true,
    start: 0,
    length: 900,
  }]),
  codecTarget("extension", extension, [{ name: "hello", message: bytes(4, 4) }]),
  codecTarget("ownedData", ownedData, [{
    request: 1,
    fork: 0,
    block: { index: 1, value: bytes(3, 3), nodes: [] },
  }]),
  {
    name: "PeerMachine",
    covers: ["Uploader", "Receiver", "PeerSync", "Downloads", "Extensions"],
    seeds: scripts,
    run: play,
  },
  { name: "RemoteBitfield", covers: ["RemoteWants"], seeds: [bytes(40, 9), bytes(12, 0)], run: playRemote },
];

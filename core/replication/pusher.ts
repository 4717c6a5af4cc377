/** Sends blocks to peers that take them unasked. */
import { fullRoots } from "../log/flat_tree.ts";
import { contains, depth } from "../log/flat_tree.ts";
import type { Proof, ProofRequest } from "../log/proof.ts";
import { ProtocolError } from "../runtime/errors.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** Sends the block `index` to `peer`, with all that proves it. Does nothing if the peer has it or does not want it. */
export async function pushBlock(log: ReplicatedLog, peer: PeerMachine, index: number): Promise<void> {
  const { remote, isSameFork } = peer.sync;
  const canPush = () => peer.isOpen && remote.allowPush && remote.isDownloading && isSameFork;
  if (!canPush() || !peer.isUploading || log.isFrozen || !log.held.get(index) || peer.has(index)) return;
  const { fork, length } = log.tree;
  const known = Math.max(peer.remoteLength, peer.pushedLength);
  // What comes after this one may count on it: that is why it is noted before it is sent.
  if (index >= known) peer.pushedLength = length;
  const isManifestNeeded = peer.remoteLength === 0 && log.verifier?.isCompat === false;
  const proof = await proveOrNothing(log, requestOf(index, known, length));
  if (proof === undefined || !canPush() || log.tree.fork !== fork) return;
  const manifest = isManifestNeeded ? log.verifier?.manifest : undefined;
  peer.send("data", { request: 0, ...proof, manifest });
}

function requestOf(index: number, known: number, length: number): ProofRequest {
  const root = fullRoots(known).find((one) => contains(one, 2 * index));
  return {
    block: { index, nodes: root === undefined ? 0 : depth(root) },
    upgrade: root === undefined ? { start: known, length: length - known } : undefined,
  };
}

async function proveOrNothing(log: ReplicatedLog, request: ProofRequest): Promise<Proof | undefined> {
  try {
    return await log.prove(request);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

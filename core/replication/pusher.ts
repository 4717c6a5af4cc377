/** Sends blocks to peers that take them unasked. */
import { contains, depth, fullRoots } from "../log/flat_tree.ts";
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
  const known = Math.max(peer.remoteLength, peer.pushedLength, peer.answeredLength);
  // What comes after this one may count on it: that is why it is noted before it is sent.
  if (index >= known) peer.pushedLength = length;
  const isManifestNeeded = peer.remoteLength === 0 && log.verifier?.isCompat === false;
  for (const request of requestsFor(index, known, length)) {
    const proof = await proveOrNothing(log, request);
    if (proof === undefined || !canPush() || log.tree.fork !== fork) return;
    const manifest = isManifestNeeded && request.upgrade ? log.verifier?.manifest : undefined;
    peer.send("data", { request: 0, ...proof, manifest });
  }
}

/**
 * What to prove to a peer that has the log up to `known`. No block comes along with an upgrade from 0: if a hypercore has heard
 * of the log from another peer meanwhile, it takes the upgrade for a proof that its writer has signed two logs. It misses the
 * root above the block then, finds them different, and freezes the log for good.
 */
function requestsFor(index: number, known: number, length: number): ProofRequest[] {
  const blockFrom = (at: number) => {
    const root = fullRoots(at).find((one) => contains(one, 2 * index));
    return { index, nodes: root === undefined ? 0 : depth(root) };
  };
  if (index < known) return [{ block: blockFrom(known) }];
  const upgrade = { start: known, length: length - known };
  return known === 0 ? [{ upgrade }, { block: blockFrom(length) }] : [{ block: blockFrom(known), upgrade }];
}

async function proveOrNothing(log: ReplicatedLog, request: ProofRequest): Promise<Proof | undefined> {
  try {
    return await log.prove(request);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

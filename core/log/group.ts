/** Groups: logs of one store that belong together, under a topic, so that one hears of all of them at once. */
import { equals } from "../../encoding/bytes.ts";
import { requireSize } from "../crypto/sizes.ts";
import { HyphaError } from "../runtime/errors.ts";
import { GROUP_KEY, type LogReader, type Store } from "../storage/storage.ts";
import type { LogBranch } from "./log_branch.ts";

/** Bytes of the topic of a group. */
const TOPIC_BYTES = 32;

/** The topic of the group that a log is of. */
export async function readGroup(log: LogReader): Promise<Uint8Array | undefined> {
  return await log.userData(GROUP_KEY);
}

/**
 * Makes a log one of a group.
 *
 * @returns the topic, as it is stored.
 * @throws {HyphaError} `STORAGE_CONFLICT` if it is of another one; {RangeError} for a topic of another size than 32 bytes.
 */
export async function writeGroup(log: LogBranch, topic: Uint8Array): Promise<Uint8Array> {
  checkTopic(topic);
  const known = await readGroup(log.storage);
  if (known === undefined) {
    const own = topic.slice();
    await log.setUserData(GROUP_KEY, own);
    return own;
  }
  if (equals(known, topic)) return known;
  throw new HyphaError("STORAGE_CONFLICT", "The log is of another group already, and stays in that");
}

/** @throws {RangeError} for a topic of another size than 32 bytes. */
export function checkTopic(topic: Uint8Array): void {
  requireSize("The topic of a group", topic, TOPIC_BYTES);
}

/** A log of a group, and when it was written last. */
export interface GroupMember {
  /** Its key. */
  readonly key: Uint8Array;
  /** When its head was written, in Unix milliseconds; 0 if the store does not know. */
  readonly timestamp: number;
}

/** The stored logs of a group that have blocks, or had some, those that changed first first. */
export async function groupMembers(store: Store, topic: Uint8Array): Promise<GroupMember[]> {
  const members: GroupMember[] = [];
  for await (const discoveryKey of store.list()) {
    const log = await store.open(discoveryKey);
    const group = await readGroup(log);
    if (group === undefined || !equals(group, topic)) continue;
    const [auth, head] = [await log.auth(), await log.head()];
    if (auth !== undefined && head !== undefined) members.push({ key: auth.key, timestamp: head.timestamp });
  }
  return members.sort((a, b) => a.timestamp - b.timestamp);
}

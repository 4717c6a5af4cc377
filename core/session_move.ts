/** How a branch becomes one of another log, with all its sessions. */
import { HypercoreReader, stateOf } from "./hypercore_reader.ts";
import type { LogBranch } from "./log/log_branch.ts";
import { commonLength } from "./log/shared_prefix.ts";
import { LiveView, SnapshotView } from "./log_views.ts";
import type { Session } from "./session.ts";
import type { SharedLog } from "./shared_log.ts";

/**
 * Makes the branch that `from` is of one of the log that `to` is of, with its first `length` blocks.
 *
 * @throws {TypeError} if one of them cannot be; {RangeError} if there are not that many blocks.
 */
export async function moveBranch<T, V>(from: Session<T>, to: Session<V>, length: number): Promise<void> {
  while (from.moving !== undefined) await from.moving;
  from.checkOpen();
  to.checkOpen();
  const { branch, log } = from;
  const { log: target } = to; // which may be moved itself meanwhile
  const name = nameOf(from, to);
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = [...sessionsOf(log, branch)];
  for (const session of waiting) session.moving = promise;
  try {
    // Before the branch is held: who held one branch and waited for another could wait for who holds that one.
    const next = await openTarget(to, name, length);
    try {
      await branch.hold(async () => {
        const oldLength = branch.length;
        const ancestors = await commonLength(branch, next);
        to.checkOpen();
        // Those that are weak first: what is left of them is closed with the last of the others.
        const moved = [...sessionsOf(log, branch)].sort((a, b) => weight(a) - weight(b));
        for (const session of moved) {
          target.useBranch(name);
          session.moveTo({
            log: target,
            branch: next,
            view: session.view instanceof SnapshotView ? session.view.endAt(ancestors) : new LiveView(next),
            onLeave: [() => target.closeBranch(name)],
          });
        }
        for (const session of moved) session.onMove(ancestors, oldLength);
      });
    } finally {
      target.closeBranch(name);
    }
  } finally {
    for (const session of waiting) session.moving = undefined;
    resolve();
  }
}

/** The branch called `name` of the log that it is moved to, for one user more, with just so many blocks. */
async function openTarget<V>({ log, branch }: Session<V>, name: string, length: number): Promise<LogBranch> {
  const target = await log.openBranch(branch, name, { checkout: length });
  try {
    if (target.length > length) await target.truncate(length, target.tree.fork);
    if (target.length === length) return target;
    throw new RangeError(`The branch ${name} of that log has ${target.length} blocks, not ${length}`);
  } catch (error) {
    log.closeBranch(name);
    throw error;
  }
}

/** The name of the branch that is moved. @throws {TypeError} if it cannot be. */
function nameOf<T, V>(from: Session<T>, to: Session<V>): string {
  const { branch, log } = from;
  const name = branch.storage.overlayName;
  if (name === undefined) throw new TypeError("A branch is moved, not a log: open a session with a name");
  if (from.isFixed || to.isFixed) throw new TypeError("A snapshot is moved along with its branch");
  if (branch.target !== log.store || to.branch.target !== to.log.store) {
    throw new TypeError("A branch is not moved in an atom, nor into one");
  }
  if (to.log === log) throw new TypeError("The branch is of that log already");
  return name;
}

function weight({ options: { weak = false } }: Session<unknown>): number {
  return weak ? 0 : 1;
}

function* sessionsOf(log: SharedLog, branch: LogBranch): Iterable<Session<unknown>> {
  for (const core of log.sessions) {
    if (!(core instanceof HypercoreReader)) continue;
    const session = stateOf<unknown>(core);
    if (session.branch === branch) yield session;
  }
}

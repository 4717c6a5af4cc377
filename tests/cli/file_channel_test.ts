/** What a peer may do to the other side of a file's channel, and to a sender with many receivers. */
import assert from "node:assert/strict";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FileChannel, type Role } from "../../cli/file_channel.ts";
import { Offer } from "../../cli/offer.ts";
import { type Report, Reporter } from "../../cli/reporter.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { type Connection, openConnection } from "../../core/stream/connection.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { test } from "../harness.ts";
import { skip, withFolder } from "./hypha_process.ts";

async function connectionPair(): Promise<[Connection, Connection]> {
  const runtime = await loadSystemRuntime();
  const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
  const [near, far] = duplexPair();
  return await Promise.all([
    openConnection(near, runtime, { isInitiator: true, keyPair }),
    openConnection(far, runtime, { isInitiator: false, keyPair }),
  ]);
}

async function channelPair(a: Role, b: Role): Promise<[FileChannel, FileChannel]> {
  const [near, far] = await connectionPair();
  return [new FileChannel(near, a), new FileChannel(far, b)];
}

/** Reports that nobody sees. */
class SilentReporter extends Reporter {
  readonly reports: Report[] = [];

  constructor() {
    super({ isJson: true });
  }

  override report(report: Report): void {
    this.reports.push(report);
  }
}

test("a channel is matched if one side sends and the other receives", async () => {
  for (
    const [a, b, isMatched] of [
      ["send", "receive", true],
      ["receive", "send", true],
      ["send", "send", false],
      ["receive", "receive", false],
    ] as const
  ) {
    const pair = await channelPair(a, b);
    assert.deepEqual(await Promise.all(pair.map((channel) => channel.isMatched)), [isMatched, isMatched]);
    await Promise.all(pair.map((channel) => channel.close()));
  }
}, { skip });

test("who does not read is not sent more than it can keep, and gets all in order afterwards", async () => {
  const [sender, receiver] = await channelPair("send", "receive");
  const count = 400;
  let sent = 0;
  const sending = (async () => {
    for (; sent < count; sent++) {
      await sender.send({ type: "data", bytes: new Uint8Array(65_536).fill(sent) });
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(sent < 200, `${sent} of ${count} messages went to a receiver that reads none`);
  for (let i = 0; i < count; i++) {
    const message = await receiver.next();
    assert(message.type === "data" && message.bytes[0] === (i & 0xff));
  }
  await sending;
  await Promise.all([sender.close(), receiver.close()]);
}, { skip });

test("who floods a channel with small messages loses it", async () => {
  const [sender, receiver] = await channelPair("send", "receive");
  // One frame, which is handled at once.
  sender.connection.mux.cork();
  for (let i = 0; i < 6000; i++) void sender.send({ type: "data", bytes: new Uint8Array(1) }).catch(() => {});
  sender.connection.mux.uncork();
  await assert.rejects(receiver.connection.closed, { code: "LIMIT_EXCEEDED" });
  await sender.close();
}, { skip });

test("the last words of who hangs up are heard, without what a terminal would obey", async () => {
  const [sender, receiver] = await channelPair("send", "receive");
  void receiver.send({ type: "refuse", code: "NO", reason: `\x1b[2Jno ${"x".repeat(500)}` });
  await receiver.close();
  const message = await sender.next();
  assert(message.type === "refuse");
  assert.match(message.reason, /^\?\[2Jno x{1,200}$/);
  await assert.rejects(sender.next(), { code: "CONNECTION_CLOSED" });
  await assert.rejects(sender.send({ type: "wait" }), { code: "CONNECTION_CLOSED" });
}, { skip });

test(
  "a sender lets a bounded number wait, one at a time is served, and the rest is told when it is done",
  async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, "a"), "content");
      await using file = await open(join(folder, "a"));
      const { clock } = await loadSystemRuntime();
      const reporter = new SilentReporter();
      const offer = new Offer(clock, { file, name: "a", size: 7, keep: false }, reporter);
      const meet = async () => {
        const [near, far] = await connectionPair();
        offer.take(near);
        return far;
      };
      const first = new FileChannel(await meet(), "receive");
      assert.deepEqual(await first.next(), { type: "offer", name: "a", size: 7 });
      const waiting: FileChannel[] = [];
      for (let i = 0; i < 64; i++) waiting.push(new FileChannel(await meet(), "receive"));
      for (const one of waiting) assert.deepEqual(await one.next(), { type: "wait" });
      const tooMany = await meet();
      await assert.rejects(tooMany.closed);

      await first.send({ type: "accept" });
      const data = await first.next();
      assert(data.type === "data" && new TextDecoder().decode(data.bytes) === "content");
      assert.equal((await first.next()).type, "end");
      await first.send({ type: "done" });
      void first.close();
      await offer.done;
      await offer.close();
      for (const one of waiting) {
        const told = await one.next();
        assert(told.type === "refuse" && told.code === "TAKEN");
      }
      assert.deepEqual(reporter.reports.map(({ event }) => event), ["connection", "progress", "done"]);
      await Promise.all(waiting.map((receiver) => receiver.close()));
    });
  },
  { skip },
);

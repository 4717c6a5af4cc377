/**
 * How a receiver finds a sender by a key or a topic alone, in a network of one node on loopback.
 */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatKey } from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { HyphaProcess, skip, withFolder, withNetwork } from "./hypha_process.ts";

/** Runs processes that are gone afterwards. */
async function withProcesses(
  body: (start: (...args: string[]) => HyphaProcess) => Promise<void>,
): Promise<void> {
  const processes: HyphaProcess[] = [];
  const start = (...args: string[]) => {
    const process = new HyphaProcess(args);
    processes.push(process);
    return process;
  };
  try {
    await body(start);
  } finally {
    await Promise.all(processes.map((process) => process.kill()));
  }
}

/** Writes a file for each name, and returns their paths. */
async function writeFiles(folder: string, ...names: string[]): Promise<string[]> {
  for (const name of names) await writeFile(join(folder, name), `this is ${name}`);
  return names.map((name) => join(folder, name));
}

test(
  "a ticket is just a key where the DHT works, and both say who the other is and by which way",
  async () => {
    await withFolder(async (folder) => {
      const [file] = await writeFiles(folder, "a.txt");
      await withNetwork((network) =>
        withProcesses(async (start) => {
          const sender = start("send", file!, ...network);
          const { ticket } = await sender.report("ticket");
          assert.match(ticket, /^[a-z0-9]{52}$/);
          const { code, reports } = await start("receive", ticket, "--out", join(folder, "o"), ...network)
            .ended;
          assert.equal(code, 0);
          const [connected] = reports;
          assert(connected?.event === "connected");
          assert.deepEqual([connected.peer, connected.path], [ticket, "direct"]);
          const done = reports.at(-1)!;
          assert(done.event === "done" && done.path === "direct" && done.peer === ticket);
          assert.equal((await sender.report("connection")).peer, (await sender.report("done")).peer);
          assert.equal((await sender.ended).code, 0);
          assert.equal(await readFile(join(folder, "o", "a.txt"), "utf8"), "this is a.txt");

          const withHints = await start("send", file!, "--hints", ...network).report("ticket");
          assert.ok(withHints.ticket.length > 60, withHints.ticket);
        })
      );
    });
  },
  { skip },
);

test("words are enough, whoever comes first, and the first of several senders is taken", async () => {
  await withFolder(async (folder) => {
    const [one, two] = await writeFiles(folder, "one.txt", "two.txt");
    await withNetwork((network) =>
      withProcesses(async (start) => {
        const topic = ["--topic", "three blind mice", ...network];
        const early = start("receive", "--out", join(folder, "early"), ...topic);
        const first = start("send", one!, ...topic);
        assert.equal((await first.report("topic")).topic, "three blind mice");
        assert.equal((await early.ended).code, 0);
        assert.equal((await first.ended).code, 0);
        assert.deepEqual(await readdir(join(folder, "early")), ["one.txt"]);

        const senders = [start("send", one!, ...topic), start("send", two!, ...topic)];
        await Promise.all(senders.map((sender) => sender.report("topic")));
        const { code, reports } = await start("receive", "--out", join(folder, "late"), ...topic).ended;
        assert.equal(code, 0);
        const [connected] = reports;
        assert(connected?.event === "connected");
        const names = await readdir(join(folder, "late"));
        assert.equal(names.length, 1);
        // The other one goes on waiting, without a word of failure.
        const other = senders[names[0] === "one.txt" ? 1 : 0]!;
        other.interrupt();
        const told = (await other.ended).reports.map(({ event }) => event);
        assert.deepEqual(told.filter((event) => event !== "topic"), ["error"]);
      })
    );
  });
}, { skip });

test("with --keep many are served at once, and without it who comes too late is told", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "large.bin");
    await writeFile(file, new Uint8Array(40_000_000));
    await withNetwork((network) =>
      withProcesses(async (start) => {
        const sender = start("send", file, ...network);
        const { ticket } = await sender.report("ticket");
        const receive = (i: number, key: string) =>
          start("receive", key, "--out", join(folder, `o${i}`), ...network);
        const served = receive(0, ticket);
        await served.report("progress");
        const late = await receive(1, ticket).ended;
        assert.equal((await served.ended).code, 0);
        assert.equal(late.code, 1);
        const error = late.reports.at(-1)!;
        assert(error.event === "error");
        assert.match(error.message, /another receiver was faster/);

        const keeper = start("send", file, "--keep", ...network);
        const kept = (await keeper.report("ticket")).ticket;
        const both = [receive(2, kept), receive(3, kept)];
        for (const { code } of await Promise.all(both.map((one) => one.ended))) assert.equal(code, 0);
        keeper.interrupt();
        assert.equal((await keeper.ended).code, 130);
      })
    );
  });
}, { skip });

test("who has the key and is no sender, or is gone, is told apart in an error", async () => {
  await withFolder(async (folder) => {
    await mkdir(join(folder, "o"));
    await withNetwork((network) =>
      withProcesses(async (start) => {
        const { key } = await start("listen", "--echo", ...network).report("listening");
        const wrong = await start("receive", key, "--out", join(folder, "o"), ...network).ended;
        const noSender = wrong.reports.at(-1)!;
        assert.equal(wrong.code, 1);
        assert.match(noSender.event === "error" ? noSender.message : "", /offers no file/);
        const { publicKey } = (await loadCryptoProvider()).keyPair(new Uint8Array(32).fill(9));
        const gone = formatKey(publicKey);
        const nobody = await start("receive", gone, "--out", join(folder, "o"), ...network).ended;
        const error = nobody.reports.at(-1)!;
        assert.equal(nobody.code, 1);
        assert.equal(error.event === "error" && error.code, "PEER_NOT_FOUND");
        assert.deepEqual(await readdir(join(folder, "o")), []);
      })
    );
  });
}, { skip });

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatTicket, parseTicket } from "../../cli/ticket.ts";
import { test } from "../harness.ts";
import { ALONE, HyphaProcess, skip, withFolder, withSender } from "./hypha_process.ts";

const CONTENT = new Uint8Array(1_500_000).map((_, i) => (i * 31 + (i >>> 8)) & 0xff);
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

/** Runs a receiver to its end. */
async function receive(...args: string[]) {
  return await new HyphaProcess(["receive", ...args, ...ALONE]).ended;
}

/** The ticket of a sender, with another key in it. */
async function withOtherKey(ticket: string): Promise<string> {
  const crypto = await loadCryptoProvider();
  const publicKey = crypto.keyPair(new Uint8Array(32).fill(9)).publicKey;
  return formatTicket(crypto, { ...parseTicket(crypto, ticket), publicKey });
}

test("a file goes from one process to another, and both say what it was", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "a file.bin");
    await writeFile(file, CONTENT);
    await withSender(file, [], async (sender, ticket) => {
      const { code, reports } = await receive(ticket, "--out", join(folder, "new", "out"));
      assert.equal(code, 0);
      const done = reports.at(-1)!;
      assert.equal(done.event, "done");
      assert.equal(done.event === "done" && done.sha256, SHA256);
      assert.equal(done.event === "done" && done.bytes, CONTENT.length);
      assert.deepEqual(
        new Set(reports.map(({ event }) => event)),
        new Set(["connected", "progress", "done"]),
      );
      const sent = await sender.ended;
      assert.equal(sent.code, 0);
      assert.deepEqual(sent.reports.at(0)?.event, "ticket");
      assert.equal((await sender.report("done")).sha256, SHA256);
    });
    assert.deepEqual(await readdir(join(folder, "new", "out")), ["a file.bin"]);
    assert.deepEqual(new Uint8Array(await readFile(join(folder, "new", "out", "a file.bin"))), CONTENT);
  });
}, { skip });

test("an empty file arrives, and a sender with --keep serves one receiver after the other", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "empty");
    await writeFile(file, "");
    await withSender(file, ["--keep"], async (sender, ticket) => {
      for (const out of ["one", "two"]) {
        assert.equal((await receive(ticket, "--out", join(folder, out))).code, 0);
        assert.deepEqual(await readdir(join(folder, out)), ["empty"]);
      }
      sender.interrupt();
      const { code, reports } = await sender.ended;
      assert.equal(code, 130);
      const last = reports.at(-1)!;
      assert.equal(last.event === "error" && last.code, "INTERRUPTED");
    });
  });
}, { skip });

test("a target that exists is left alone, unless --force says otherwise", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    const out = join(folder, "out");
    await mkdir(out);
    await writeFile(file, CONTENT);
    await writeFile(join(out, "file.bin"), "mine");
    await withSender(file, ["--keep"], async (_sender, ticket) => {
      const refused = await receive(ticket, "--out", out);
      assert.equal(refused.code, 1);
      const error = refused.reports.at(-1)!;
      assert.equal(error.event === "error" && error.code, "TARGET_EXISTS");
      assert.match(error.event === "error" ? error.message : "", /--force/);
      assert.equal(await readFile(join(out, "file.bin"), "utf8"), "mine");
      assert.deepEqual(await readdir(out), ["file.bin"]);
      assert.equal((await receive(ticket, "--out", out, "--force")).code, 0);
      assert.deepEqual(new Uint8Array(await readFile(join(out, "file.bin"))), CONTENT);
    });
  });
}, { skip });

test("somebody else at the address is told apart from the sender", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    await writeFile(file, CONTENT);
    await withSender(file, [], async (_sender, ticket) => {
      const { code, reports } = await receive(await withOtherKey(ticket), "--out", join(folder, "out"));
      assert.equal(code, 1);
      const error = reports.at(-1)!;
      assert.equal(error.event === "error" && error.code, "WRONG_PEER");
    });
  });
}, { skip });

test("a ticket whose sender is gone ends in a clear error", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    await writeFile(file, CONTENT);
    let stale = "";
    await withSender(file, [], (_sender, ticket) => {
      stale = ticket;
      return Promise.resolve();
    });
    const { code, reports } = await receive(stale, "--out", join(folder, "out"));
    assert.equal(code, 1);
    const error = reports.at(-1)!;
    assert.equal(error.event === "error" && error.code, "PEER_CONNECTION_FAILED");
    assert.match(
      error.event === "error" ? error.message : "",
      /does not answer[^]*nobody listens|nobody listens[^]*does not answer/,
    );
  });
}, { skip });

test("a receiver that is interrupted leaves nothing behind, and the sender goes on", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "large.bin");
    const out = join(folder, "out");
    await writeFile(file, new Uint8Array(200_000_000));
    await withSender(file, [], async (sender, ticket) => {
      const receiver = new HyphaProcess(["receive", ticket, "--out", out, ...ALONE]);
      await receiver.report("progress");
      receiver.interrupt();
      const { code, reports } = await receiver.ended;
      assert.equal(code, 130);
      const error = reports.at(-1)!;
      assert.equal(error.event === "error" && error.code, "INTERRUPTED");
      assert.deepEqual(await readdir(out), []);
      assert.match((await sender.report("error")).message, /did not get it/);
    });
  });
}, { skip });

test("a sender that dies in the middle is an error, and leaves nothing under the final name", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "large.bin");
    const out = join(folder, "out");
    await writeFile(file, new Uint8Array(200_000_000));
    await withSender(file, [], async (sender, ticket) => {
      const receiver = new HyphaProcess(["receive", ticket, "--out", out, ...ALONE]);
      await receiver.report("progress");
      sender.interrupt();
      const { code, reports } = await receiver.ended;
      assert.equal(code, 1);
      const error = reports.at(-1)!;
      assert.equal(error.event === "error" && error.code, "CONNECTION_RESET");
      assert.deepEqual(await readdir(out), []);
    });
  });
}, { skip });

test("a full disk is an error on both sides, and leaves nothing under the final name", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    const out = join(folder, "out");
    await writeFile(file, CONTENT);
    await mkdir(out);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", out]);
    try {
      await withSender(file, [], async (sender, ticket) => {
        const { code, reports } = await receive(ticket, "--out", out);
        assert.equal(code, 1);
        const error = reports.at(-1)!;
        assert.equal(error.event === "error" && error.code, "DISK_FULL");
        assert.deepEqual(await readdir(out), []);
        assert.match((await sender.report("error")).message, /no room left/);
      });
    } finally {
      execFileSync("umount", [out]);
    }
  });
}, { skip: skip ?? (canMount() ? undefined : "a small file system can only be made by root") });

test("what cannot be sent and what is no ticket is said at once", async () => {
  await withFolder(async (folder) => {
    const cases: [string[], string, RegExp][] = [
      [["send", join(folder, "missing")], "INVALID_ARGUMENT", /There is no file/],
      [["send", folder], "INVALID_ARGUMENT", /not a file/],
      [["receive", "not a ticket!"], "INVALID_ARGUMENT", /no ticket/],
      [["receive", "y".repeat(80)], "INVALID_ARGUMENT", /damaged/],
      [["receive", "y".repeat(52)], "PEER_NOT_FOUND", /no addresses.*--hints/],
    ];
    for (const [args, code, text] of cases) {
      const ended = await new HyphaProcess([...args, ...ALONE], { cwd: folder }).ended;
      const error = ended.reports.at(-1)!;
      assert.equal(ended.code, 1, args.join(" "));
      assert.equal(error.event === "error" && error.code, code, args.join(" "));
      assert.match(error.event === "error" ? error.message : "", text);
      assert.equal(ended.reports.length, 1);
    }
  });
}, { skip });

test("a wrong command line says so, on stdout too when programs read it", async () => {
  const plain = await new HyphaProcess(["send"]).ended;
  assert.equal(plain.code, 2);
  assert.match(plain.stderr, /missing required argument 'file'/);
  const json = await new HyphaProcess(["send", "--json", "--port", "99999", "x"]).ended;
  assert.equal(json.code, 2);
  const error = json.reports.at(-1)!;
  assert.equal(error.event === "error" && error.code, "USAGE");
}, { skip });

test("without --json people get plain lines", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    await writeFile(file, CONTENT);
    let [code, stdout]: [number | null, string] = [null, ""];
    await withSender(file, [], async (_sender, ticket) => {
      const plain = ALONE.filter((option) => option !== "--json");
      ({ code, stdout } = await new HyphaProcess(["receive", ticket, "--out", join(folder, "out"), ...plain])
        .ended);
    });
    assert.equal(code, 0);
    assert.match(stdout, /Connected to [a-z0-9]{52} directly/);
    assert.match(stdout, /100 %/);
    assert.match(stdout, new RegExp(`sha256 ${SHA256}`));
    assert.ok(!stdout.includes("\r"), "no terminal codes where there is no terminal");
  });
}, { skip });

function canMount(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

/** The command on a LAN of real kernels: without a way out of it, and without UDP. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withFolder } from "../cli/hypha_process.ts";
import { test } from "../harness.ts";
import { Lan } from "./lan.ts";
import { netnsProblem, type Program } from "./namespaces.ts";

const skip = "Deno" in globalThis ? netnsProblem() : "the command runs on Deno";
const main = new URL("../../cli/main.ts", import.meta.url);

/** Calls `body` with a LAN, a file to send and a way to start commands. */
async function withLan(
  size: number,
  body: (lan: Lan, file: string, start: (host: number, ...args: string[]) => Program) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const file = join(folder, "file.txt");
    await writeFile(file, "from one host to another");
    const lan = new Lan(size);
    try {
      await body(lan, file, (host, ...args) => lan.startTrusted(host, main, ...args, "--json"));
    } finally {
      await lan.close();
    }
  });
}

test("two hosts without a route hand over a file by words that both know, and by a key alone", async () => {
  await withLan(2, async (_lan, file, start) => {
    const ways: [string[], (ticket: string) => string[]][] = [
      [["--topic", "blue moon"], () => ["--topic", "blue moon"]],
      [[], (ticket) => [ticket]],
    ];
    for (const [i, [offer, ask]] of ways.entries()) {
      const sender = start(0, "send", file, ...offer, "--lan-only");
      const { ticket } = await sender.next(offer.length > 0 ? "topic" : "ticket");
      const out = join(file, "..", `out${i}`);
      const receiver = start(1, "receive", ...ask(ticket), "--lan-only", "--out", out);
      const { path, address } = await receiver.next("connected");
      assert.equal(path, "lan");
      assert.match(address, /^udx:10\.99\.0\.1:/);
      assert.equal((await receiver.next("done")).sha256, (await sender.next("done")).sha256);
    }
  });
}, { skip });

test("where no UDP passes, a ticket with addresses leads to the sender by TCP", async () => {
  await withLan(2, async (lan, file, start) => {
    lan.exec(1, "nft", "add table inet block");
    lan.exec(1, "nft", "add chain inet block out { type filter hook output priority 0; }");
    lan.exec(1, "nft", "add rule inet block out ip protocol udp drop");
    const sender = start(0, "send", file, "--no-dht");
    const { ticket } = await sender.next("ticket");
    const receiver = start(1, "receive", ticket, "--no-dht", "--out", join(file, "..", "out"));
    assert.match((await receiver.next("connected")).address, /^tcp:10\.99\.0\.1:/);
    assert.equal((await receiver.next("done")).sha256, (await sender.next("done")).sha256);
  });
}, { skip });
test(
  "two hosts that cannot reach each other hand over a file through a relay that both can reach",
  async () => {
    await withLan(3, async (lan, file, start) => {
      for (const [host, other] of [[1, 3], [2, 2]] as const) {
        lan.exec(host, "nft", "add table inet block");
        lan.exec(host, "nft", "add chain inet block in { type filter hook input priority 0; }");
        lan.exec(host, "nft", `add rule inet block in ip saddr 10.99.0.${other} drop`);
      }
      const { address } = await start(0, "bootstrap", "--host", "10.99.0.1").next("bootstrap");
      const network = ["--bootstrap", address, "--no-cache"];
      const { key } = await start(0, "relay", ...network).next("relay");
      const sender = start(1, "send", file, ...network, "--relay", key);
      const { ticket } = await sender.next("ticket");
      const receiver = start(2, "receive", ticket, "--out", join(file, "..", "out"), ...network);
      assert.equal((await receiver.next("connected")).path, "relayed");
      assert.equal((await receiver.next("done")).sha256, (await sender.next("done")).sha256);
    });
  },
  { skip },
);

test(
  "both name: two hosts that cannot reach each other hand over a file through a relay that both can reach",
  async () => {
    await withLan(3, async (lan, file, start) => {
      for (const [host, other] of [[1, 3], [2, 2]] as const) {
        lan.exec(host, "nft", "add table inet block");
        lan.exec(host, "nft", "add chain inet block in { type filter hook input priority 0; }");
        lan.exec(host, "nft", `add rule inet block in ip saddr 10.99.0.${other} drop`);
      }
      const { address } = await start(0, "bootstrap", "--host", "10.99.0.1").next("bootstrap");
      const network = ["--bootstrap", address, "--no-cache"];
      const { key } = await start(0, "relay", ...network).next("relay");
      const relayed = [...network, "--relay", key];
      const sender = start(1, "send", file, ...relayed);
      const { ticket } = await sender.next("ticket");
      const receiver = start(2, "receive", ticket, "--out", join(file, "..", "out"), ...relayed);
      assert.equal((await receiver.next("connected")).path, "relayed");
      assert.equal((await receiver.next("done")).sha256, (await sender.next("done")).sha256);
    });
  },
  { skip },
);

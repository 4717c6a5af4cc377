/**
 * The `hypha` command against programs of the reference, over loopback:
 *
 *     hypha bootstrap, listen, connect, dht, relay  <-- UDP -->  hyperdht, blind-relay in Node
 */
import assert from "node:assert/strict";
import { blake2b } from "../../core/crypto/hash.ts";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatKey, parseKey, toHex } from "../../encoding/mod.ts";
import { freePort, HyphaProcess, skip as skipCommand } from "../cli/hypha_process.ts";
import { test } from "../harness.ts";
import { Child, skip as skipReference } from "./udx_support.ts";

const HOST = "127.0.0.1";
const skip = skipCommand ?? skipReference;

/** What a child answers here. */
interface PeerAnswer {
  readonly port: number;
  readonly publicKey: string;
  readonly echoed: string;
  readonly received: string;
  readonly connections: number;
  readonly hash: string;
  readonly value: string;
  readonly peers: readonly { readonly publicKey: string }[];
  readonly heard: string;
}

/** A child of the reference, and commands. */
class Rig implements AsyncDisposable {
  readonly #child: Child;
  readonly #commands: HyphaProcess[] = [];
  /** Options that lead commands into the network. */
  network: string[] = [];

  constructor(file: string) {
    this.#child = new Child(file);
  }

  async ask(op: string, details: Record<string, unknown> = {}): Promise<PeerAnswer> {
    return await this.#child.ask(op, details) as unknown as PeerAnswer;
  }

  /** Starts a command in the network. */
  start(args: readonly string[], input: string = ""): HyphaProcess {
    const command = new HyphaProcess([...args, ...this.network], { input });
    this.#commands.push(command);
    return command;
  }

  /** A network whose first node is ours and whose others are the reference's. */
  async ours(nodes: number): Promise<number> {
    const port = await freePort();
    const args = ["bootstrap", "--host", HOST, "--port", `${port}`, "--json"];
    this.network = [];
    await this.start(args).report("bootstrap");
    this.#into(port);
    for (let i = 0; i < nodes; i++) {
      await this.ask("node", { name: `node ${i}`, port, ephemeral: false, firewalled: false });
    }
    return port;
  }

  /** A network of the reference. */
  async theirs(size: number): Promise<number> {
    const { port } = await this.ask("testnet", { size });
    this.#into(port);
    return port;
  }

  #into(port: number): void {
    this.network = ["--bootstrap", `${HOST}:${port}`, "--host", HOST, "--json"];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#commands.map((command) => command.kill()));
    await this.ask("stop");
    await this.#child[Symbol.asyncDispose]();
  }
}

for (const network of ["ours", "theirs"] as const) {
  test(
    `hypha connect reaches hyperdht and hyperdht reaches hypha listen, in a network of ${network}`,
    async () => {
      await using rig = new Rig("dht_peer.mjs");
      const port = await rig[network](6);
      await rig.ask("node", { name: "peer", port });

      const { publicKey } = await rig.ask("listen", { name: "server", node: "peer" });
      for (const key of [publicKey, formatKey(parseKey(publicKey))]) {
        const { code, stdout, stderr } = await rig.start(["connect", key], "over to you").ended;
        assert.equal(code, 0, stderr);
        assert.equal(stdout, "over to you");
        assert.equal(JSON.parse(stderr.split("\n")[0]!).event, "connected");
      }
      assert.equal((await rig.ask("seen", { name: "server" })).connections, 2);

      const listener = rig.start(["listen", "--echo"]);
      const { key } = await listener.report("listening");
      for (const id of [key, toHex(parseKey(key))]) {
        const { echoed } = await rig.ask("connect", { node: "peer", publicKey: id, message: "and back" });
        assert.equal(echoed, "and back");
      }
      await listener.report("closed");
    },
    { skip },
  );
}

test("values and announcements of the command are found by hyperdht, and the other way round", async () => {
  await using rig = new Rig("dht_peer.mjs");
  const port = await rig.ours(6);
  await rig.ask("node", { name: "peer", port });
  const crypto = await loadCryptoProvider();

  const { key: hash } = await rig.start(["dht", "put", "ours"]).report("stored");
  assert.equal((await rig.ask("immutableGet", { node: "peer", hash })).value, "ours");
  const theirs = await rig.ask("immutablePut", { node: "peer", value: "theirs" });
  assert.equal((await rig.start(["dht", "get", theirs.hash]).report("value")).value, "theirs");

  const seed = ["--seed", "05".repeat(32)];
  const { key } = await rig.start(["dht", "put", "signed", "--seq", "3", ...seed]).report("stored");
  const publicKey = toHex(parseKey(key));
  assert.equal((await rig.ask("mutableGet", { node: "peer", publicKey })).value, "signed");
  const signed = await rig.ask("mutablePut", { node: "peer", seed: 6, value: "theirs too", seq: 1 });
  assert.equal((await rig.start(["dht", "get", signed.publicKey]).report("value")).value, "theirs too");

  const topic = toHex(blake2b(crypto, [new TextEncoder().encode("some words")]));
  const { peer } = await rig.start(["dht", "announce", "some words", ...seed]).report("announced");
  const { peers } = await rig.ask("lookup", { node: "peer", topic });
  assert.deepEqual([...new Set(peers.map(({ publicKey }) => formatKey(parseKey(publicKey))))], [peer]);
  await rig.ask("announce", { node: "peer", seed: 7, topic, relays: [] });
  const { reports } = await rig.start(["dht", "lookup", "some words"]).ended;
  const their = formatKey(crypto.keyPair(new Uint8Array(32).fill(7)).publicKey);
  const found = reports.flatMap((report) => report.event === "peer" ? [report.peer] : []);
  assert.deepEqual(found.sort(), [peer, their].sort());
}, { skip });

test("hypha bootstrap takes part in a network of hyperdht, and others start from it alone", async () => {
  await using rig = new Rig("dht_peer.mjs");
  const theirs = await rig.theirs(6);
  const ours = await freePort();
  const args = ["--host", HOST, "--port", `${ours}`, "--bootstrap", `${HOST}:${theirs}`, "--json"];
  rig.network = [];
  const { nodes } = await rig.start(["bootstrap", ...args]).report("bootstrap");
  assert.ok(nodes >= 5, `it knows ${nodes} nodes`);

  await rig.ask("node", { name: "old", port: theirs });
  const { publicKey } = await rig.ask("listen", { name: "server", node: "old" });
  await rig.ask("node", { name: "new", port: ours });
  const { echoed } = await rig.ask("connect", { node: "new", publicKey, message: "found" });
  assert.equal(echoed, "found");
}, { skip });

test("hypha relay brings two peers of the reference together, and tells what it did", async () => {
  await using rig = new Rig("blind_relay_peer.mjs");
  const port = await rig.theirs(6);
  const relay = rig.start(["relay", "--seed", "0a".repeat(32)]);
  const relayKey = toHex(parseKey((await relay.report("relay")).key));
  await rig.ask("node", { name: "a", port });
  await rig.ask("node", { name: "b", port });
  const meet = (node: string, isInitiator: boolean) =>
    rig.ask("meet", { node, relayKey, isInitiator, token: "ab".repeat(32), message: `from ${node}` });
  const heard = await Promise.all([meet("a", true), meet("b", false)]);
  assert.deepEqual(heard.map(({ heard }) => heard), ["from b", "from a"]);
  relay.interrupt();
  const { code, reports } = await relay.ended;
  assert.equal(code, 130);
  const stats = reports.find((report) => report.event === "stats");
  assert(stats?.event === "stats");
  assert.equal(stats.stats.pairings.matched, 1);
  assert.ok(stats.stats.bytes > 0);
}, { skip });

/**
 * `hypha log` against logs of both generations of hypercore in a hyperswarm, over loopback:
 *
 *     hypha log cat, tail, seed, append  <-- UDP -->  corestore and hyperswarm in Node
 */
import assert from "node:assert/strict";
import { parseKey, toHex } from "../../encoding/mod.ts";
import { HyphaProcess, skip as skipCommand, withFolder } from "../cli/hypha_process.ts";
import { test } from "../harness.ts";
import { GENERATIONS } from "./driven_logs.ts";
import { type ChildLog, type LogPeer, LogRig, skip as skipReference } from "./log_rig.ts";

const HOST = "127.0.0.1";
const skip = skipCommand ?? skipReference;

const hexOf = (text: string): string => toHex(new TextEncoder().encode(text));

/** The text of each block that a command has printed. */
const textsOf = (command: HyphaProcess): Promise<(string | undefined)[]> =>
  command.ended.then(({ reports }) =>
    reports.flatMap((report) => report.event === "block" ? [report.text] : [])
  );

/** A network of the reference with one store of the reference in it, and commands. */
class Rig implements AsyncDisposable {
  readonly #rig = new LogRig();
  readonly #peer: LogPeer;
  readonly #folder: string;
  readonly #commands: HyphaProcess[] = [];
  #port = 0;

  constructor(generation: typeof GENERATIONS[number], folder: string) {
    this.#peer = this.#rig.theirs(generation);
    this.#folder = folder;
  }

  async open(): Promise<void> {
    this.#port = (await this.#peer.ask("testnet", { size: 4 })).port;
  }

  /** A log of the reference in the swarm of its discovery key: by name it writes it, by key it reads it. */
  async theirs(which: { name: string } | { key: string }): Promise<ChildLog> {
    const store = await this.#peer.store();
    const log = await store.get(which);
    const swarm = await store.swarm(this.#port);
    const { discoveryKey } = log;
    await this.#peer.ask("join", { swarm, discoveryKey, server: true, client: true });
    return log;
  }

  /** Starts `hypha log` with a store of its own. */
  start(store: string, args: readonly string[], input = ""): HyphaProcess {
    const isLocal = args[0] === "create" || (args[0] === "append" && !args.includes("--live"));
    const network = isLocal ? [] : ["--bootstrap", `${HOST}:${this.#port}`, "--host", HOST];
    const all = ["log", ...args, "--store", `${this.#folder}/${store}`, ...network, "--json"];
    const command = new HyphaProcess(all, { input });
    this.#commands.push(command);
    return command;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#commands.map((command) => command.kill()));
    await this.#rig[Symbol.asyncDispose]();
  }
}

for (const generation of GENERATIONS) {
  /** Calls `body` with a network of this generation. */
  const withRig = (body: (rig: Rig) => Promise<void>): Promise<void> =>
    withFolder(async (folder) => {
      await using rig = new Rig(generation, folder);
      await rig.open();
      await body(rig);
    });

  test(`hypha log cat reads a log that hypercore ${generation} serves in a hyperswarm`, async () => {
    await withRig(async (rig) => {
      const theirs = await rig.theirs({ name: "theirs" });
      await theirs.append(["one", "two", "three"].map(hexOf));
      assert.deepEqual(await textsOf(rig.start("a", ["cat", theirs.key])), ["one", "two", "three"]);
      await theirs.append([hexOf("four")]);
      assert.deepEqual(await textsOf(rig.start("a", ["tail", "-n", "2", theirs.key])), ["three", "four"]);
    });
  }, { skip });

  test(`hypercore ${generation} reads from a hyperswarm what hypha log seeds and appends`, async () => {
    await withRig(async (rig) => {
      const { key } = await rig.start("a", ["create", "ours"]).report("created");
      await rig.start("a", ["append", "ours"], "one\ntwo\n").ended;
      const seed = rig.start("a", ["seed", "ours"]);
      await seed.report("seeding");
      const theirs = await rig.theirs({ key: toHex(parseKey(key)) });
      await theirs.download({ start: 0, end: 2 });
      seed.interrupt();
      assert.equal((await seed.ended).code, 130);
      rig.start("a", ["append", "ours", "--live"], "three\n");
      await theirs.until({ length: 3 });
      await theirs.download({ start: 2, end: 3 });
      const { length, held, byteLength } = await theirs.digest();
      assert.deepEqual([length, held, byteLength], [3, 3, 11]);
    });
  }, { skip });

  test(`hypha log tail -f follows a log of hypercore ${generation}, also when it is cut`, async () => {
    await withRig(async (rig) => {
      const theirs = await rig.theirs({ name: "theirs" });
      await theirs.append(["one", "two", "three"].map(hexOf));
      const tail = rig.start("a", ["tail", "-f", "-n", "1", theirs.key]);
      await tail.output('"text":"three"');
      await theirs.append([hexOf("four")]);
      await tail.output('"text":"four"');
      await theirs.truncate(2);
      await theirs.append([hexOf("another three")]);
      await tail.output('"text":"another three"');
      tail.interrupt();
      assert.deepEqual(await textsOf(tail), ["three", "four", "another three"]);
      const rewritten = (await tail.ended).reports.find(({ event }) => event === "rewritten");
      assert.deepEqual(rewritten?.event === "rewritten" && [rewritten.length, rewritten.fork], [2, 1]);
    });
  }, { skip });
}

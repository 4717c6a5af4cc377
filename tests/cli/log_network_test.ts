import assert from "node:assert/strict";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "../harness.ts";
import { freePort, HyphaProcess, skip, withFolder, withNetwork } from "./hypha_process.ts";

/** Commands of one test, which end with it. */
class Commands implements AsyncDisposable {
  readonly #folder: string;
  readonly #network: readonly string[];
  readonly #running: HyphaProcess[] = [];

  constructor(folder: string, network: readonly string[]) {
    this.#folder = folder;
    this.#network = network;
  }

  /** Starts `hypha log` in the network, with a store of its own. */
  start(store: string, args: readonly string[], input: string | PassThrough = ""): HyphaProcess {
    const where = ["--store", join(this.#folder, store)];
    const isLocal = ["create", "info", "list"].includes(args[0]!);
    const all = ["log", ...args, ...where, ...(isLocal ? ["--json"] : this.#network)];
    const command = new HyphaProcess(all, { input });
    this.#running.push(command);
    return command;
  }

  /** Makes a log called `notes` with these lines; returns its key. */
  async make(store: string, lines: readonly string[]): Promise<string> {
    const { key } = await this.start(store, ["create", "notes"]).report("created");
    await this.start(store, ["append", "notes"], lines.map((line) => `${line}\n`).join("")).ended;
    return key;
  }

  /** The blocks that a command prints. */
  async blocks(store: string, args: readonly string[]): Promise<(string | undefined)[]> {
    const { reports } = await this.start(store, args).ended;
    return reports.flatMap((report) => report.event === "block" ? [report.text] : []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((command) => command.kill()));
  }
}

/** Calls `body` with commands in a network of their own. */
async function withCommands(body: (commands: Commands) => Promise<void>): Promise<void> {
  await withFolder((folder) =>
    withNetwork(async (network) => {
      await using commands = new Commands(folder, network);
      await body(commands);
    })
  );
}

test("what one seeds another reads, keeps, and seeds in its turn", async () => {
  await withCommands(async (commands) => {
    const key = await commands.make("a", ["one", "two", "three"]);
    const writer = commands.start("a", ["seed", "notes"]);
    const { length, held } = await writer.report("seeding");
    assert.deepEqual([length, held], [3, 3]);
    assert.deepEqual(await commands.blocks("b", ["cat", key, "--start", "1"]), ["two", "three"]);
    const info = await commands.start("b", ["info", key]).report("info");
    assert.deepEqual([info.length, info.held, info.isWritable], [3, 2, false]);
    assert.match((await commands.start("b", ["append", key], "four\n").ended).stdout, /SESSION_NOT_WRITABLE/);

    const second = commands.start("b", ["seed", key]);
    await second.output('"length":3,"held":3');
    writer.interrupt();
    assert.equal((await writer.ended).code, 130);
    assert.deepEqual(await commands.blocks("c", ["cat", key]), ["one", "two", "three"]);
    second.interrupt();
    await second.ended;

    const nobody = await commands.start("c", ["cat", key]).ended;
    assert.equal(nobody.code, 0);
    assert.match(nobody.stdout, /Nobody was found.*may not be the latest/);
    assert.match(nobody.stdout, /"text":"three"/);
    assert.deepEqual(await commands.blocks("c", ["cat", key, "--offline"]), ["one", "two", "three"]);
    const { code, stdout } = await commands.start("d", ["cat", key]).ended;
    assert.equal(code, 1);
    assert.match(stdout, /PEER_NOT_FOUND.*hypha log seed/);
  });
}, { skip });

test("tail -f follows a writer live, whoever comes first", async () => {
  await withCommands(async (commands) => {
    const key = await commands.make("a", ["one", "two", "three"]);
    const early = commands.start("b", ["tail", "-f", "-n", "1", key]);
    const input = new PassThrough();
    const writer = commands.start("a", ["append", "notes", "--live"], input);
    await early.output('"text":"three"');
    const late = commands.start("c", ["tail", "-f", "-n", "2", key]);
    await late.output('"text":"three"');
    input.write("four\n");
    await Promise.all([early, late].map((reader) => reader.output('"text":"four"')));
    input.end("five\n");
    await Promise.all([early, late].map((reader) => reader.output('"text":"five"')));
    writer.interrupt();
    assert.equal((await writer.ended).code, 130);
    for (const [reader, indexes] of [[early, [2, 3, 4]], [late, [1, 2, 3, 4]]] as const) {
      reader.interrupt();
      const { code, reports } = await reader.ended;
      assert.equal(code, 130);
      assert.deepEqual(reports.flatMap((report) => report.event === "block" ? [report.index] : []), indexes);
    }
  });
}, { skip });

test("without any lookup a ticket is enough", async () => {
  await withFolder(async (folder) => {
    await using commands = new Commands(folder, ["--no-dht", "--host", "127.0.0.1", "--json"]);
    const key = await commands.make("a", ["by hand"]);
    const seed = commands.start("a", ["seed"]);
    const { ticket } = await seed.report("reachable");
    assert.deepEqual(await commands.blocks("b", ["cat", key, "--peer", ticket]), ["by hand"]);
    const { code, stdout } = await commands.start("b", ["cat", key, "--peer", `${ticket}x`]).ended;
    assert.equal(code, 1);
    assert.match(stdout, /INVALID_ARGUMENT/);
  });
}, { skip });

test("where no node of the DHT answers, that is said beside that nobody was found", async () => {
  await withFolder(async (folder) => {
    const network = ["--bootstrap", `127.0.0.1:${await freePort()}`, "--host", "127.0.0.1", "--json"];
    await using commands = new Commands(folder, network);
    const { code, reports } = await commands.start("a", ["cat", "y".repeat(52)]).ended;
    assert.equal(code, 1);
    const codes = reports.map((report) => "code" in report ? report.code : report.event);
    assert.deepEqual(codes, ["TOO_FEW_NODES", "PEER_NOT_FOUND"]);
  });
}, { skip });

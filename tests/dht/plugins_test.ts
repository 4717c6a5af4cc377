/** Row H26: commands of plug-ins, in a simulated network of 32 nodes, and what a bad plug-in cannot do. */
import assert from "node:assert/strict";
import {
  MAX_PLUGIN_CALLS_PER_HOST,
  MAX_PLUGIN_FAILURES,
  MAX_PLUGIN_REPLY_BYTES,
  MAX_PLUGINS,
  PLUGIN_PENALTY_MS,
} from "../../dht/constants.ts";
import type { Dht } from "../../dht/dht.ts";
import type { DhtPlugin, PluginCall, PluginReply } from "../../dht/plugins.ts";
import type { Reply } from "../../dht/rpc/outgoing_request.ts";
import { test } from "../harness.ts";
import { collect, DhtWorld } from "./dht_world.ts";

const SIZE = 32;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : new TextDecoder().decode(value);

function plugin(onRequest: DhtPlugin["onRequest"], version = 1): DhtPlugin {
  return { name: "echo", version, onRequest };
}

const echo = ({ value, command }: PluginCall): PluginReply => ({ value: bytes(`${command} ${text(value)}`) });

interface Setting {
  readonly world: DhtWorld;
  readonly server: Dht;
  readonly problems: unknown[];
  /** Asks the plug-in of the server; undefined if it is silent. */
  readonly ask: (value?: string, options?: { readonly token?: Uint8Array }) => Promise<Reply | undefined>;
}

/** One persistent node with a plug-in, and one that asks. */
async function setting(served: DhtPlugin): Promise<Setting> {
  const world = new DhtWorld();
  const [server] = await world.dhtSwarm(1);
  const client = await world.openDht();
  const asking = client.register(plugin(echo));
  server!.register(served);
  const problems: unknown[] = [];
  server!.on("pluginFailure", ({ detail }) => problems.push(detail.error));
  const to = world.dhtAddress(server!);
  const ask = (value = "x", { token }: { readonly token?: Uint8Array } = {}) => {
    const call = { command: 7, value: bytes(value), target: world.target("plugin"), token };
    return asking.request(call, to, { retries: 0 }).catch(() => undefined);
  };
  return { world, server: server!, problems, ask };
}

test("H26: a plug-in answers its like on other nodes, under its name and version only", async () => {
  const world = new DhtWorld();
  const nodes = await world.dhtSwarm(SIZE);
  for (const node of nodes) node.register(plugin(echo));
  const client = (await world.openDht()).register(plugin(echo));
  const target = world.target("plugin");
  const replies = await world.go(collect(client.query({ command: 3, target, value: bytes("hi") })));
  assert.ok(replies.length >= 20);
  assert.ok(replies.every(({ value }) => text(value) === "3 hi"));
  assert.ok(replies.every(({ token, closerNodes }) => token !== undefined && closerNodes.length > 0));
  const newer = (await world.openDht()).register(plugin(echo, 2));
  const to = world.dhtAddress(nodes[0]!);
  await assert.rejects(world.go(newer.request({ command: 3 }, to, { retries: 0 })), {
    code: "REQUEST_TIMEOUT",
  });
  const other = (await world.openDht()).register({ ...plugin(echo), name: "other" });
  await assert.rejects(world.go(other.request({ command: 3 }, to, { retries: 0 })), {
    code: "REQUEST_TIMEOUT",
  });
  assert.equal(nodes[0]!.stats.served.ignored, 2);
  await world.close();
});

test("H26: an ephemeral node serves no plug-in, and tells it when that changes", async () => {
  const world = new DhtWorld();
  await world.dhtSwarm(4);
  const late = world.makeDht({ ephemeral: false });
  let persistent = 0;
  let closed = 0;
  late.register({ ...plugin(echo), onPersistent: () => void persistent++, close: () => void closed++ });
  assert.equal(persistent, 0);
  await world.go(late.open().then(() => late.ready()));
  assert.equal(persistent, 1);
  late.register({ ...plugin(echo), name: "two", onPersistent: () => void persistent++ });
  assert.equal(persistent, 2, "at once if it is persistent already");
  const ephemeral = await world.openDht({ firewalled: false });
  ephemeral.register(plugin(echo));
  const client = (await world.openDht()).register(plugin(echo));
  const reply = await world.go(client.request({ command: 1 }, world.dhtAddress(ephemeral)));
  assert.equal(reply.error, 1);
  await world.close();
  assert.equal(closed, 1);
});

test("H26: a plug-in knows whether the address of who asks is proven, and may answer with an error of its own", async () => {
  const seen: boolean[] = [];
  const { world, ask } = await setting(plugin(({ hasToken, value }) => {
    seen.push(hasToken);
    return text(value) === "bad" ? { error: 20 } : {};
  }));
  const first = await world.go(ask());
  const second = await world.go(ask("x", { token: first!.token! }));
  assert.equal(second!.error, 0);
  const third = await world.go(ask("bad"));
  assert.deepEqual([third!.error, third!.token], [20, undefined]);
  assert.deepEqual(seen, [false, true, false]);
  await world.close();
});

test("H26: what a plug-in throws is told, not sent, and the node goes on", async () => {
  let mood = 0;
  const { world, server, problems, ask } = await setting(plugin(() => {
    if (mood === 0) throw new Error("at once");
    return mood === 1 ? Promise.reject(new Error("later")) : {};
  }));
  assert.equal(await world.go(ask()), undefined);
  mood = 1;
  assert.equal(await world.go(ask()), undefined);
  mood = 2;
  assert.equal((await world.go(ask()))?.error, 0);
  assert.deepEqual(problems.map((error) => (error as Error).message), ["at once", "later"]);
  assert.equal(server.stats.served.pluginFailures, 2);
  await world.close();
});

test("H26: a plug-in that takes too long is told so, not waited for, and gets no more calls than it may have", async () => {
  let calls = 0;
  const reasons: unknown[] = [];
  const { world, server, problems, ask } = await setting(plugin(({ signal }) => {
    calls++;
    signal.addEventListener("abort", () => reasons.push(signal.reason));
    return new Promise(() => {});
  }));
  assert.equal(await world.go(ask()), undefined);
  await world.pass(1000);
  assert.deepEqual(problems.map((error) => (error as { code?: string }).code), ["TIMEOUT"]);
  assert.deepEqual(reasons, problems);
  await world.go(Promise.all(Array.from({ length: 3 * MAX_PLUGIN_CALLS_PER_HOST }, () => ask())));
  assert.equal(calls, 1 + MAX_PLUGIN_CALLS_PER_HOST);
  assert.equal(server.stats.served.pluginOverloads, 2 * MAX_PLUGIN_CALLS_PER_HOST);
  await world.close();
});

test("H26: a plug-in that never lets go of its calls gets no others", async () => {
  let calls = 0;
  const hanging = plugin(() => {
    calls++;
    return new Promise(() => {});
  });
  const world = new DhtWorld();
  const [server] = await world.dhtSwarm(1, { maxPluginCalls: 10 });
  const client = (await world.openDht()).register(plugin(echo));
  const registered = server!.register(hanging);
  const ask = () => client.request({ command: 1 }, world.dhtAddress(server!), { retries: 0 }).catch(() => {});
  for (let i = 0; i < 20; i++) {
    await world.go(ask());
    await world.pass(PLUGIN_PENALTY_MS);
  }
  assert.equal(calls, 10);
  assert.equal(registered.calls, 10);
  await world.close();
});

test("H26: a plug-in that fails again and again is left alone for a while", async () => {
  let calls = 0;
  const { world, ask } = await setting(plugin(() => {
    calls++;
    throw new Error("no");
  }));
  for (let i = 0; i < 2 * MAX_PLUGIN_FAILURES; i++) await world.go(ask());
  assert.equal(calls, MAX_PLUGIN_FAILURES);
  await world.pass(PLUGIN_PENALTY_MS);
  await world.go(ask());
  assert.equal(calls, MAX_PLUGIN_FAILURES + 1);
  await world.close();
});

test("H26: a plug-in that computes for too long is not answered for", async () => {
  const world = new DhtWorld();
  const [server] = await world.dhtSwarm(1);
  const client = (await world.openDht()).register(plugin(echo));
  server!.register(plugin(() => {
    world.clock.run({ until: world.clock.now() + 1500, stop: () => false });
    return {};
  }));
  const asking = client.request(
    { command: 1 },
    world.dhtAddress(server!),
    { retries: 0 },
  );
  await assert.rejects(world.go(asking));
  assert.equal(server!.stats.served.pluginFailures, 1);
  await world.close();
});

test("H26: a reply that is too long, or an error that is not its own, is the plug-in's failure", async () => {
  let answer: PluginReply = {};
  const { world, problems, ask } = await setting(plugin(() => answer));
  for (
    const bad of [{ value: new Uint8Array(MAX_PLUGIN_REPLY_BYTES + 1) }, { error: 3 }, { error: NaN }, {
      error: 1.5,
    }]
  ) {
    answer = bad;
    assert.equal(await world.go(ask()), undefined);
  }
  assert.ok(problems.length === 4 && problems.every((error) => error instanceof RangeError));
  answer = { value: new Uint8Array(MAX_PLUGIN_REPLY_BYTES) };
  assert.equal((await world.go(ask()))?.value?.length, MAX_PLUGIN_REPLY_BYTES);
  await world.close();
});

test("H26: replies to those who have proven nothing are limited to what all others get", async () => {
  const { world, server, ask } = await setting(
    plugin(() => ({ value: new Uint8Array(MAX_PLUGIN_REPLY_BYTES) })),
  );
  // The client is ephemeral, so the server does not know it.
  let answers = 0;
  for (let i = 0; i < 100; i++) if (await world.go(ask("")) !== undefined) answers++;
  assert.ok(answers >= 10 && answers < 60, `${answers} answers`);
  assert.ok(server.rpc.stats.received.withheld > 0);
  await world.close();
});

test("H26: names and versions that make no sense are refused, and so are too many plug-ins", async () => {
  const world = new DhtWorld();
  const node = world.makeDht();
  const first = node.register(plugin(echo));
  assert.throws(() => node.register(plugin(echo)), RangeError);
  first.unregister();
  node.register(plugin(echo));
  first.unregister();
  assert.throws(() => node.register(plugin(echo)), RangeError, "the second is not the first's to remove");
  assert.throws(() => node.register({ ...plugin(echo), name: "" }), RangeError);
  assert.throws(() => node.register({ ...plugin(echo), name: "x".repeat(65) }), RangeError);
  assert.throws(() => node.register({ ...plugin(echo), name: "v", version: -1 }), RangeError);
  for (let i = 1; i < MAX_PLUGINS; i++) node.register({ ...plugin(echo), name: `${i}` });
  assert.throws(() => node.register({ ...plugin(echo), name: "last" }), RangeError);
  await world.close();
});

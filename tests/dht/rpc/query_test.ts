/** Queries and commits, in simulated networks of a few hundred nodes. */
import assert from "node:assert/strict";
import { compareDistance } from "../../../dht/rpc/node_id.ts";
import type { Reply } from "../../../dht/rpc/outgoing_request.ts";
import type { Rpc } from "../../../dht/rpc/rpc.ts";
import type { RpcOptions } from "../../../dht/rpc/rpc_options.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { test } from "../../harness.ts";
import { Peer, PORT, World } from "./support.ts";

const GET = 0;
const PUT = 1;
const bytes = (value: string) => new TextEncoder().encode(value);

/** The options of a node that stores one value for each target. */
function storing(stores: Map<string, Uint8Array>[] = []): RpcOptions {
  const store = new Map<string, Uint8Array>();
  stores.push(store);
  return {
    onRequest(request) {
      if (request.target === undefined) return false;
      const key = request.target.join();
      if (request.command === GET) request.reply(store.get(key));
      else if (request.command !== PUT || request.token === undefined) return false;
      else {
        store.set(key, request.value!);
        request.reply(undefined, { token: false, closerNodes: false });
      }
      return true;
    },
  };
}

/** The addresses of the 20 nodes of `nodes` nearest to `target`, nearest first. */
function nearest(world: World, nodes: readonly Rpc[], target: Uint8Array): string[] {
  const addresses = nodes.filter((node) => !node.ephemeral).map((node) => world.addressOf(node));
  return addresses
    .toSorted((a, b) => compareDistance(target, world.idOf(a), world.idOf(b)))
    .slice(0, 20)
    .map(String);
}

async function collect<T>(query: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of query) all.push(one);
  return all;
}

async function joined(world: World, nodes: readonly Rpc[], options: RpcOptions = {}): Promise<Rpc> {
  const client = world.make({ ephemeral: true, bootstrap: [world.addressOf(nodes[0]!)], ...options });
  await world.go(client.open().then(() => client.ready()));
  return client;
}

test("R12: a query asks ten nodes at once", async () => {
  const world = new World("concurrency");
  const nodes = await world.swarm(20);
  const client = await joined(world, nodes, { downHintsPerTick: 0 });
  for (const node of nodes) await world.go(node.close());
  const { commands } = client.stats;
  const before = commands.findNode.sent;
  const query = client.findNode(world.target("nobody answers"));
  await world.pass(50);
  assert.equal(commands.findNode.sent - before, 10);
  await world.pass(60_000);
  await query.finished().catch(() => {});
  await world.close();
});

test("R12: among 300 nodes a query finds exactly the 20 nearest, in a few round trips", async () => {
  const world = new World("find");
  const nodes = await world.swarm(300);
  const client = await joined(world, nodes);
  for (const label of ["a", "b", "c", "d", "e"]) {
    const target = world.target(label);
    const query = client.findNode(target);
    const start = world.clock.now();
    await world.go(query.finished());
    assert.deepEqual(query.closestNodes.map(String), nearest(world, nodes, target));
    assert.ok(world.clock.now() - start <= 10 * 40, "at most ten round trips");
    assert.ok(query.successes >= 20 && query.successes < 80, `${query.successes} answers`);
    assert.equal(query.errors, 0);
  }
  assert.equal(client.stats.queries.active, 0);
  await world.close();
});

test("R12: replies come while the query runs, mapped; what is mapped to nothing is left out but counts", async () => {
  const world = new World("map");
  const nodes = await world.swarm(40);
  const client = await joined(world, nodes);
  const query = client.findNode(world.target("x"), {
    map: (reply) => reply.from.bits % 2 === 1 ? undefined : reply.from.toString(),
  });
  const seen = await world.go(collect(query));
  assert.equal(seen.length, 0, "all hosts end in .1");
  const other = client.findNode(world.target("x"), { map: (reply) => reply.closerNodes.length });
  const counts = await world.go(collect(other));
  assert.ok(counts.length >= 20 && counts.every((count) => count === 20));
  assert.equal(query.closestReplies.length, 20);
  await world.close();
});

test("R12: a query that nobody reads pauses, goes on when it is read, and ends when the reader leaves", async () => {
  const world = new World("pause");
  const client = world.make();
  await world.go(client.open());
  const peers: Peer[] = [];
  for (let i = 0; i < 150; i++) {
    const peer = await Peer.open(world);
    peer.onRequest = ({ tid }, from) => peer.reply(from, tid);
    peers.push(peer);
  }
  const nodes = peers.map(({ address }) => address);
  const query = client.findNode(world.target("p"), { nodes, onlyNodes: true });
  await world.pass(60_000);
  assert.ok(query.successes >= 64 && query.successes <= 80, `${query.successes}`);
  assert.equal((await world.go(collect(query))).length, 150);
  const left = client.findNode(world.target("q"), { nodes, onlyNodes: true });
  await world.go((async () => {
    for await (const _ of left) break;
  })());
  assert.equal(client.stats.queries.active, 0);
  for (const { socket } of peers) await socket.close();
  await world.close();
});

test("R12: a query from cached nodes begins with those and asks fewer; if they are gone it falls back to the table", async () => {
  const world = new World("cached");
  const nodes = await world.swarm(150);
  const client = await joined(world, nodes);
  const target = world.target("cached");
  const first = client.findNode(target);
  await world.go(first.finished());
  const again = client.findNode(target, { nodes: first.closestNodes });
  await world.go(again.finished());
  assert.deepEqual(again.closestNodes.map(String), first.closestNodes.map(String));
  assert.ok(again.successes <= first.successes);
  const gone = Array.from({ length: 20 }, (_, i) => SocketAddress.of(`20.200.${i}.1`, PORT));
  const fallen = client.findNode(target, { nodes: gone });
  await world.go(fallen.finished());
  assert.deepEqual(fallen.closestNodes.map(String), first.closestNodes.map(String));
  const strict = client.findNode(target, { nodes: first.closestNodes.slice(0, 3), onlyNodes: true });
  await world.go(strict.finished());
  assert.equal(strict.successes, 3);
  await world.close();
});

test("R12: a query goes on past nodes that do not answer, and is not held up by them", async () => {
  const world = new World("dead");
  const nodes = await world.swarm(200);
  const client = await joined(world, nodes);
  const dead = new Set(nodes.filter((_, i) => i % 4 === 1));
  await world.go(Promise.all([...dead].map((node) => node.close())));
  const alive = nodes.filter((node) => !dead.has(node));
  for (const label of ["a", "b", "c"]) {
    const target = world.target(label);
    const query = client.findNode(target);
    const start = world.clock.now();
    await world.go(query.finished());
    const found = query.closestNodes.map(String);
    assert.deepEqual(found.slice(0, 10), nearest(world, alive, target).slice(0, 10));
    assert.ok(world.clock.now() - start < 6000, `${world.clock.now() - start} ms`);
  }
  await world.close();
});

test("R12: nodes without an id answer a query and are no part of its result", async () => {
  const world = new World("nameless");
  const nodes = await world.swarm(10);
  const peer = await Peer.open(world);
  peer.onRequest = ({ tid }, from) =>
    peer.reply(from, tid, { closerNodes: nodes.map((node) => world.addressOf(node)) });
  const client = world.make({ ephemeral: true, bootstrap: [peer.address] });
  await world.go(client.open().then(() => client.ready()));
  const query = client.findNode(world.target("n"));
  const replies = await world.go(collect(query));
  assert.equal(query.closestReplies.length, 10);
  assert.ok(replies.length >= 10);
  assert.ok(query.closestReplies.every((reply: Reply) => reply.id !== undefined));
  await peer.socket.close();
  await world.close();
});

test("R12: a filter keeps nodes out of queries and of the table", async () => {
  const world = new World("filter");
  const nodes = await world.swarm(30);
  const banned = new Set(nodes.slice(10, 20).map((node) => world.addressOf(node).key));
  const client = await joined(world, nodes, { filterNode: (address) => !banned.has(address.key) });
  const query = client.findNode(world.target("f"));
  const replies = await world.go(collect(query));
  assert.equal(query.closestReplies.length, 20);
  assert.ok([...replies.map(({ from }) => from), ...client.toArray()].every(({ key }) => !banned.has(key)));
  await world.close();
});

test("R12: a query for a network of one's own alone finds nobody and ends", async () => {
  const world = new World("alone");
  const node = await world.bootstrapper();
  const query = node.findNode(world.target("nobody"));
  assert.deepEqual(await world.go(collect(query)), []);
  await world.close();
});

test("R13: a commit reaches the 20 nearest nodes, and others find what was stored", async () => {
  const world = new World("commit");
  const stores: Map<string, Uint8Array>[] = [];
  const nodes = await world.swarm(1);
  for (let i = 0; i < 60; i++) {
    const node = world.make({
      ephemeral: false,
      bootstrap: [world.addressOf(nodes[0]!)],
      ...storing(stores),
    });
    nodes.push(node);
    await world.go(node.open().then(() => node.ready()));
  }
  const [writer, reader] = [await joined(world, nodes), await joined(world, nodes)];
  const target = world.target("value");
  const put = writer.query({ target, command: PUT, value: bytes("kept") }, { commit: true });
  await assert.rejects(
    world.go(put.finished()),
    { code: "TOO_FEW_NODES" },
    "a PUT without a token is no query",
  );
  const commit = writer.query({ target, command: GET }, {
    commit: (reply) =>
      writer.request({ command: PUT, target, token: reply.token, value: bytes("kept") }, reply.from),
  });
  await world.go(commit.finished());
  assert.equal(stores.filter((store) => store.size > 0).length, 20);
  const found = await world.go(
    collect(reader.query({ target, command: GET }, { map: ({ value }) => value })),
  );
  assert.ok(found.length > 0);
  assert.deepEqual(found[0], bytes("kept"));
  await world.close();
});

test("R13: a commit is repeated with the fresh token if the first has grown too old", async () => {
  const world = new World("old token");
  const accepted: number[] = [];
  const node = await world.bootstrapper({
    onRequest(request) {
      if (request.token !== undefined) accepted.push(world.clock.now());
      request.reply();
    },
  });
  const client = world.make({ ephemeral: true, bootstrap: [world.addressOf(node)] });
  await world.go(client.open().then(() => client.ready()));
  // The commit is held up until the token is worth nothing.
  const target = world.target("late");
  const query = client.query({ target, command: 5 }, {
    commit: async (reply) => {
      await new Promise<void>((resolve) => void world.clock.schedule(world.clock.now() + 20_000, resolve));
      const late = await client.request({ command: 5, target, token: reply.token }, reply.from);
      assert.equal(late.error, 2);
      return await client.request({ command: 5, target, token: late.token }, reply.from);
    },
  });
  await world.go(query.finished());
  assert.equal(accepted.length, 1);
  const automatic = client.query({ target, command: 5 }, { commit: true });
  await world.go(automatic.finished());
  assert.equal(accepted.length, 2);
  await world.close();
});

test("R13: a commit works if one node takes it, fails with the last error if none does, and says if there is none", async () => {
  const world = new World("failing commit");
  const nodes = await world.swarm(6);
  const client = await joined(world, nodes);
  let calls = 0;
  const some = client.findNode(world.target("s"), {
    commit: () => ++calls === 3 ? Promise.resolve() : Promise.reject(new Error(`no ${calls}`)),
  });
  await world.go(some.finished());
  assert.equal(calls, 6);
  const none = client.findNode(world.target("s"), {
    commit: () => {
      throw new Error(`no ${++calls}`);
    },
  });
  await assert.rejects(world.go(none.finished()), /no 12/);
  const lonely = world.make();
  await world.go(lonely.open().then(() => lonely.ready()));
  const empty = lonely.findNode(world.target("s"), { commit: true });
  await assert.rejects(world.go(empty.finished()), { code: "TOO_FEW_NODES" });
  await assert.rejects(world.go(collect(lonely.findNode(world.target("s"), { commit: true }))), {
    code: "TOO_FEW_NODES",
  });
  await world.close();
});

test("R13: nodes that die before the commit do not make it fail", async () => {
  const world = new World("dying");
  const nodes = await world.swarm(1);
  const stores: Map<string, Uint8Array>[] = [];
  for (let i = 0; i < 30; i++) {
    const node = world.make({
      ephemeral: false,
      bootstrap: [world.addressOf(nodes[0]!)],
      ...storing(stores),
    });
    nodes.push(node);
    await world.go(node.open().then(() => node.ready()));
  }
  const client = await joined(world, nodes);
  const target = world.target("dying");
  let isFirst = true;
  const query = client.query({ target, command: GET }, {
    commit: async (reply, query) => {
      if (isFirst) {
        isFirst = false;
        const doomed = new Set(query.closestNodes.slice(0, 10).map(({ key }) => key));
        for (const node of nodes) if (doomed.has(world.addressOf(node).key)) void node.close();
      }
      await client.request({ command: PUT, target, token: reply.token, value: bytes("v") }, reply.from);
    },
  });
  await world.go(query.finished());
  assert.ok(stores.filter((store) => store.size > 0).length >= 10);
  await world.close();
});

test("R12: a signal or a close ends a query with its reason", async () => {
  const world = new World("abort");
  const nodes = await world.swarm(30);
  const client = await joined(world, nodes);
  const abort = new AbortController();
  const reason = new Error("enough");
  const query = client.findNode(world.target("a"), { signal: abort.signal });
  const outcome = world.go(query.finished().catch((error) => error));
  abort.abort(reason);
  assert.equal(await outcome, reason);
  assert.throws(() => client.findNode(world.target("a"), { signal: abort.signal }), reason);
  const last = client.findNode(world.target("b"));
  const end = last.finished().catch((error) => error.code);
  await world.pass(15);
  await world.go(client.close());
  assert.equal(await end, "REQUEST_DESTROYED");
  await world.close();
});

test("R12: 32 queries at once are not slower than their round trips", async () => {
  const world = new World("many");
  const nodes = await world.swarm(100);
  const client = await joined(world, nodes);
  const start = world.clock.now();
  const queries = Array.from({ length: 32 }, (_, i) => client.findNode(world.target(`many ${i}`)));
  await world.go(Promise.all(queries.map((query) => query.finished())));
  const elapsed = world.clock.now() - start;
  for (const [i, query] of queries.entries()) {
    assert.deepEqual(query.closestNodes.map(String), nearest(world, nodes, world.target(`many ${i}`)));
  }
  // 32 queries of 30 requests: with 80 out for 750 ms each, as in the reference, they would take nine seconds.
  assert.ok(elapsed < 2000, `${elapsed} ms`);
  assert.equal(client.stats.requests.retries, 0);
  await world.close();
});

test("R12: lookups stay right while nodes come and go", async () => {
  const world = new World("churn");
  const nodes = await world.swarm(200);
  const client = await joined(world, nodes);
  let right = 0;
  const rounds = 30;
  for (let round = 0; round < rounds; round++) {
    const leaving = nodes.splice(1 + world.random.below(nodes.length - 1), 4);
    await world.go(Promise.all(leaving.map((node) => node.close())));
    for (let i = 0; i < 4; i++) {
      const node = world.make({ ephemeral: false, bootstrap: [world.addressOf(nodes[0]!)] });
      nodes.push(node);
      await world.go(node.open().then(() => node.ready()));
    }
    await world.pass(10_000);
    const target = world.target(`churn ${round}`);
    const query = client.findNode(target);
    await world.go(query.finished());
    if (nearest(world, nodes, target)[0] === String(query.closestNodes[0])) right++;
  }
  assert.ok(right >= rounds - 1, `${right} of ${rounds}`);
  await world.close();
});

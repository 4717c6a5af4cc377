/** What lasts longer than a connection, against the reference: pools, sockets, raw streams, announcements, sleep. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import type { ConnectionPool } from "../../dht/connection_pool.ts";
import type { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import { targetOf } from "../../dht/signables.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { collect } from "../dht/dht_world.ts";
import { test as register } from "../harness.ts";
import { DhtRig, echoServer, eventually, type NetworkKind, sayHello } from "./dht_rig.ts";
import { Reader, skip } from "./udx_support.ts";
import { pattern } from "./reference/pattern.mjs";

const runtime = await loadSystemRuntime();
/** The reference makes the same keys of it. */
const keys = (seed: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(seed));
const keyOf = (dht: Dht) => toHex(dht.keyPair.publicKey);
const REACHABLE = { firewalled: false };
const HIDDEN = { quickFirewall: false };

/** In networks of either kind: these are as good as each other, so a test that takes long tries one of them. */
function test(
  name: string,
  body: (rig: DhtRig) => Promise<void>,
  kinds: readonly NetworkKind[] = ["mixed"],
): void {
  for (const kind of kinds) {
    register(`${name}, in a network of kind "${kind}"`, async () => {
      await using rig = await DhtRig.open(kind);
      await body(rig);
    }, { skip });
  }
}

/** What a pool of ours has. */
const poolOf = (pool: ConnectionPool) =>
  [...pool.connections].map(({ isInitiator, remotePublicKey }) => ({
    isInitiator,
    remoteKey: toHex(remotePublicKey),
  }));

test("H23 a pool of either side dials a peer once, and takes those whom that dials", async (rig) => {
  const { publicKey } = await rig.peer(REACHABLE);
  const ours = await rig.dht(REACHABLE);
  const pool = ours.pool();
  await rig.ask("pool", { name: "pool", node: "node" });
  const { server, accepted } = await echoServer(ours);
  pool.attach(server);
  await rig.ask("listen", { name: "server", node: "node", pool: "pool" });

  const [one, two] = await Promise.all([1, 2].map(() => ours.connect(fromHex(publicKey), { pool })));
  assert.equal(one, two);
  await sayHello(one!);
  assert.equal((await rig.ask("seen", { name: "server" })).connections, 1);
  // They have it as well, and do not dial us.
  const { isInitiator } = await rig.ask("open", {
    ...{ name: "c", node: "node", pool: "pool", publicKey: keyOf(ours) },
  });
  assert.equal(isInitiator, false);
  assert.equal(accepted.length, 0);
  await one!.close();
  await eventually(async () => (await rig.ask("pooled", { name: "pool" })).open.length === 0);

  const opened = await rig.ask("open", {
    ...{ name: "d", node: "node", pool: "pool", publicKey: keyOf(ours) },
  });
  assert.equal(opened.isInitiator, true);
  await eventually(() => accepted.length === 1);
  assert.equal(await ours.connect(fromHex(publicKey), { pool }), accepted[0]);
});

test("H23 of two connections of pools that cross, one stays, and both sides have the same", async (rig) => {
  const ours = await rig.dht(REACHABLE);
  for (let i = 0; i < 10; i++) {
    const node = `node ${i}`;
    const { publicKey } = await rig.peer({ name: node, ...REACHABLE, seed: 100 + i });
    const pool = ours.pool();
    const server = ours.createServer();
    const keyPair = keys(150 + i);
    pool.attach(server);
    await server.listen(keyPair);
    await rig.ask("pool", { name: node, node });
    await rig.ask("listen", { name: node, node, pool: node });
    const key = toHex(keyPair.publicKey);
    await Promise.allSettled([
      ours.connect(fromHex(publicKey), { pool, keyPair }),
      rig.ask("open", { name: `c ${i}`, node, pool: node, publicKey: key }),
    ]);
    const state = async () => [poolOf(pool), (await rig.ask("pooled", { name: node })).open] as const;
    await eventually(async () => {
      const [a, b] = await state();
      return a.length === 1 && b.length === 1 && a[0]!.isInitiator !== b[0]!.isInitiator;
    }, 5).catch(async (error) => {
      throw new Error(`try ${i}: ${JSON.stringify(await state())}`, { cause: error });
    });
    await server.close();
    for (const connection of pool.connections) connection.abort();
  }
});

test("H14 a peer that says nothing, or only that it has nothing to say, is accepted at once", async (rig) => {
  await rig.peer({ ...HIDDEN, connectionKeepAlive: false });
  const ours = await rig.dht(HIDDEN);
  const { accepted } = await echoServer(ours);
  await rig.ask("open", { name: "mute", node: "node", publicKey: keyOf(ours) });
  await eventually(() => accepted.length === 1);
  await rig.ask("open", { name: "brief", node: "node", publicKey: keyOf(ours) });
  await rig.ask("end", { name: "brief" });
  const { error } = await rig.ask("connection", { name: "brief" });
  assert.equal(error, undefined);
  await accepted[1]!.closed;
});

test("H22 a socket that both sides let be used again serves the next connection as well", async (rig) => {
  await rig.peer(HIDDEN);
  const ours = await rig.dht(HIDDEN);
  const { publicKey } = await rig.ask("listen", {
    ...{ name: "server", node: "node", shareLocalAddress: false, reusableSocket: true },
  });
  const { accepted } = await echoServer(ours, { shareLocalAddress: false, reusableSocket: true });
  const options = { localConnection: false, reusableSocket: true };
  const dialed: (string | undefined)[] = [];
  const kinds: string[] = [];
  for (let i = 0; i < 2; i++) {
    const connection = await ours.connect(fromHex(publicKey), options);
    await sayHello(connection);
    dialed.push(`${connection.socket!.address.port} ${connection.path.address}`);
    kinds.push(connection.path.kind);
    await connection.close();
  }
  assert.equal(kinds[0], "punched");
  assert.equal(dialed[0], dialed[1], "ours has dialed on another path");
  // They have met us, on a path of which they know: that they dial by.
  const paths: string[] = [];
  for (let i = 0; i < 2; i++) {
    const name = `c ${i}`;
    const { localPort, remotePort } = await rig.ask("open", {
      ...{ name, node: "node", publicKey: keyOf(ours), ...options },
    });
    await eventually(() => accepted.length === i + 1);
    await rig.ask("end", { name });
    paths.push(`${localPort} ${remotePort}`);
  }
  assert.equal(paths[0], paths[1], "theirs has dialed on another path");
});

test("H25 raw streams go along a connection, whoever has dialed it", async (rig) => {
  const { publicKey } = await rig.peer(HIDDEN);
  const ours = await rig.dht(HIDDEN);
  const { accepted } = await echoServer(ours);
  await rig.ask("listen", { name: "server", node: "node" });
  const dialed = await ours.connect(fromHex(publicKey));
  await sayHello(dialed);
  await rig.ask("open", { name: "c", node: "node", publicKey: keyOf(ours) });
  await rig.ask("say", { name: "c", message: "hi" });
  await eventually(async () => (await rig.ask("connection", { name: "c" })).received === "hi");
  for (const [connection, theirs] of [[dialed, "server"], [accepted[0]!, "c"]] as const) {
    await exchangeRaw(rig, ours, connection, theirs);
  }
});

/** Sends bytes on a raw stream along `connection`, whose other end is called `theirs`, and gets them back. */
async function exchangeRaw(rig: DhtRig, ours: Dht, connection: DhtConnection, theirs: string): Promise<void> {
  const bytes = 200_000;
  const stream = ours.createRawStream();
  const reader = new Reader();
  stream.attach(reader);
  const { streamId } = await rig.ask("raw", { name: theirs, node: "node" });
  ours.connectRawStream(connection, stream, streamId);
  await rig.ask("rawConnect", { name: theirs, connection: theirs, remoteId: stream.id });
  const hash = createHash("sha256");
  for (const chunk of pattern(7, bytes)) hash.update(chunk);
  await reader.write(stream, 7, bytes);
  await reader.until(() => reader.received >= bytes);
  assert.equal(reader.hash, hash.digest("hex"));
  const { received } = await rig.ask("rawSeen", { name: theirs }) as unknown as { received: number };
  assert.equal(received, bytes);
  stream.end();
  await reader.until(() => reader.ended);
}

test(
  "H3 a server of either side that is told to refresh announces itself again",
  async (rig) => {
    await rig.peer();
    const ours = await rig.dht();
    const [own, theirs] = [keys(5), keys(6)];
    const server = await ours.createServer().listen(own);
    await rig.ask("listen", { name: "server", node: "node", seed: 6 });
    const count = async (publicKey: Uint8Array) => {
      const found = await rig.ask("findPeer", { node: "node", publicKey: toHex(publicKey) });
      return found.peers.length;
    };
    // Whoever has the key can take the announcement back: here, behind the back of the server.
    const target = targetOf(runtime.crypto, own.publicKey);
    await rig.ask("unannounce", { node: "node", topic: toHex(target), seed: 5 });
    await ours.records.unannounce(targetOf(runtime.crypto, theirs.publicKey), theirs);
    assert.deepEqual([await count(own.publicKey), await count(theirs.publicKey)], [0, 0]);
    server.refresh();
    await rig.ask("refresh", { name: "server" });
    await eventually(async () => await count(own.publicKey) === 3 && await count(theirs.publicKey) === 3);
    const found = await collect(ours.records.findPeer(theirs.publicKey));
    assert.equal(found.length, 3);
  },
  ["theirs", "ours"],
);

test("P5 a server of either side listens in the name of who keeps the secret key elsewhere", async (rig) => {
  await rig.peer(REACHABLE);
  const ours = await rig.dht(REACHABLE);
  const own = keys(7);
  const asked = new Set<string>();
  const server = ours.createServer();
  await server.listen(own, {
    signer: {
      publicKey: own.publicKey,
      sign(message, { type }) {
        asked.add(type);
        return Promise.resolve(runtime.crypto.sign(message, own.secretKey));
      },
    },
  });
  const opened = await rig.ask("open", { name: "c", node: "node", publicKey: toHex(own.publicKey) });
  assert.equal(opened.isInitiator, true);
  const { publicKey, signed } = await rig.ask("listen", {
    ...{ name: "server", node: "node", seed: 8, isRemote: true },
  });
  assert.deepEqual([...new Set(signed)], ["announce"]);
  await sayHello(await ours.connect(fromHex(publicKey)));
  await server.close();
  assert.deepEqual([...asked].sort(), ["announce", "unannounce"]);
});

test(
  "H24 who is suspended cannot be found, and is found again under the same key when it is back",
  async (rig) => {
    const { publicKey } = await rig.peer(HIDDEN);
    const ours = await rig.dht(HIDDEN);
    await rig.ask("listen", { name: "server", node: "node" });
    const { accepted } = await echoServer(ours);
    const key = keyOf(ours);

    const before = await ours.connect(fromHex(publicKey));
    await sayHello(before);
    await rig.ask("suspend", { node: "node" });
    await before.closed.catch(() => {});
    await assert.rejects(ours.connect(fromHex(publicKey)), {
      code: /PEER_NOT_FOUND|PEER_CONNECTION_FAILED/,
    });
    await rig.ask("resume", { node: "node" });
    await eventually(async () => {
      const found = await collect(ours.records.findPeer(fromHex(publicKey)));
      return found.length > 0;
    });
    const after = await ours.connect(fromHex(publicKey));
    await sayHello(after);
    await after.close();

    await rig.ask("open", { name: "before", node: "node", publicKey: key });
    await eventually(() => accepted.length === 1);
    await ours.suspend();
    await eventually(async () => (await rig.ask("connection", { name: "before" })).closed);
    const failure = await rig.failureOf("open", { name: "meanwhile", node: "node", publicKey: key });
    assert.ok(/PEER_NOT_FOUND|PEER_CONNECTION_FAILED/.test(failure), failure);
    await ours.resume();
    await eventually(async () =>
      (await rig.ask("findPeer", { node: "node", publicKey: key })).peers.length > 0
    );
    await rig.ask("open", { name: "after", node: "node", publicKey: key });
    await rig.ask("say", { name: "after", message: "awake" });
    await eventually(async () => (await rig.ask("connection", { name: "after" })).received === "awake");
  },
  ["theirs", "ours"],
);

test("H24 the end of a node ends its connections on the other side, and its announcements", async (rig) => {
  const { publicKey } = await rig.peer(REACHABLE);
  await rig.peer({ name: "asker" });
  const ours = await rig.dht(REACHABLE);
  await rig.ask("listen", { name: "server", node: "node" });
  await echoServer(ours);
  const dialed = await ours.connect(fromHex(publicKey));
  await sayHello(dialed);
  await rig.ask("open", { name: "c", node: "node", publicKey: keyOf(ours) });
  await rig.ask("unlisten", { name: "server" });
  await sayHello(dialed, "still there");
  await rig.ask("open", { name: "d", node: "asker", publicKey: keyOf(ours) });
  await rig.ask("destroy", { node: "node" });
  await dialed.closed.catch(() => {});
  assert.deepEqual(await collect(ours.records.findPeer(fromHex(publicKey))), []);
  await ours.close();
  await eventually(async () => (await rig.ask("connection", { name: "d" })).closed);
  const { peers } = await rig.ask("findPeer", { node: "asker", publicKey: keyOf(ours) });
  assert.deepEqual(peers, []);
});

test("H10 many dials at once of one peer all open, from either side", async (rig) => {
  const { publicKey } = await rig.peer(HIDDEN);
  const ours = await rig.dht(HIDDEN);
  await rig.ask("listen", { name: "server", node: "node", shareLocalAddress: false });
  const { accepted } = await echoServer(ours, { shareLocalAddress: false });
  const options = { localConnection: false };
  const all = Array.from({ length: 20 }, (_, i) => i);
  // We let one key have four connections half-open.
  const some = all.slice(0, 4);
  const [dialed] = await Promise.all([
    Promise.all(all.map(() => ours.connect(fromHex(publicKey), options))),
    Promise.all(
      some.map((i) => rig.ask("open", { name: `c ${i}`, node: "node", publicKey: keyOf(ours), ...options })),
    ),
  ]);
  await Promise.all(dialed.map((connection) => sayHello(connection)));
  for (const i of some) await rig.ask("say", { name: `c ${i}`, message: "hi" });
  for (const i of some) {
    await eventually(async () => (await rig.ask("connection", { name: `c ${i}` })).received === "hi");
  }
  assert.equal(accepted.length, some.length);
  assert.equal((await rig.ask("seen", { name: "server" })).connections, all.length);
});

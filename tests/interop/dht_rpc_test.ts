/**
 * DHT nodes of ours and of the reference in one network, over UDP of this host.
 *
 *     reference x 8 (or 4) ---+--- 127.0.0.1 ---+--- ours x 4 (or 8)
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import { nodeId } from "../../dht/rpc/node_id.ts";
import { Rpc } from "../../dht/rpc/rpc.ts";
import type { RpcOptions } from "../../dht/rpc/rpc_options.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { NodeUdpNetwork } from "../../transports/udp/node.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";
import { test as register } from "../harness.ts";

const folder = new URL("./reference/", import.meta.url);
const skip = existsSync(new URL("node_modules/dht-rpc/package.json", folder))
  ? undefined
  : "the reference is not installed: deno task interop";
const [GET, PUT] = [0, 1];
const runtime = { clock: new SystemClock(), random: new SystemRandom(), crypto: await loadCryptoProvider() };
const at = (port: number) => SocketAddress.of("127.0.0.1", port);
const text = (value: Uint8Array | undefined) => new TextDecoder().decode(value);

/** What the reference answers; each operation fills some of it. */
interface Answer {
  readonly failure?: string;
  readonly ports: readonly number[];
  readonly closest: readonly number[];
  readonly values: readonly string[];
  readonly errors: number;
  readonly error: number;
  readonly hasToken: boolean;
  readonly from: number;
  readonly to: number;
  readonly nodeId: string;
  readonly nodes: readonly {
    readonly port: number;
    readonly id: string;
    readonly knows: readonly number[];
    readonly firewalled: boolean;
    readonly seenAt: string;
    readonly values: number;
  }[];
}

/** The process with the reference's nodes. */
class Reference {
  readonly #process: ChildProcess;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  readonly #isDone: Promise<void>;
  #nextId = 1;

  constructor() {
    const file = fileURLToPath(new URL("dht_rpc_peer.mjs", folder));
    this.#process = spawn("node", [file], { stdio: ["pipe", "pipe", "inherit"] });
    this.#isDone = this.#listen();
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      const { id, ...answer } = JSON.parse(line);
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    }
  }

  async ask(op: string, details: Record<string, unknown> = {}): Promise<Answer> {
    const id = this.#nextId++;
    const answer = new Promise<Answer>((resolve) => this.#answers.set(id, resolve));
    this.#process.stdin!.write(`${JSON.stringify({ id, op, ...details })}\n`);
    const result = await answer;
    assert.equal(result.failure, undefined, result.failure);
    return result;
  }

  async close(): Promise<void> {
    const closed = once(this.#process, "close");
    this.#process.stdin!.end();
    await closed;
    await this.#isDone;
  }
}

/** A node of ours that stores a value for each target, as those of the reference do. */
async function ours(options: RpcOptions): Promise<Rpc> {
  const values = new Map<string, Uint8Array>();
  const node = new Rpc(runtime, new UdxEndpoint(runtime, new NodeUdpNetwork()), {
    host: "127.0.0.1",
    ephemeral: false,
    onRequest(request) {
      if (request.target === undefined) return false;
      const key = toHex(request.target);
      if (request.command === GET) return request.reply(values.get(key));
      if (request.command !== PUT || request.token === undefined || request.value === undefined) return false;
      values.set(key, request.value);
      return request.reply(undefined, { token: false, closerNodes: false });
    },
    ...options,
  });
  await node.open();
  await node.ready();
  return node;
}

const portOf = (node: Rpc) => node.serverSocket!.address.port;
const target = (n: number) => new Uint8Array(32).map((_, i) => (i * 37 + n * 101) & 255);

/** What is stored by one side is found by the other, in both directions. */
async function exchange(reference: Reference, node: Rpc, total: number): Promise<void> {
  const first = await reference.ask("put", {
    node: 0,
    target: toHex(target(1)),
    value: "from the reference",
  });
  assert.equal(first.closest.length, Math.min(20, total));
  const found: string[] = [];
  for await (
    const value of node.query({ target: target(1), command: GET }, { map: (reply) => reply.value })
  ) {
    found.push(text(value));
  }
  assert.ok(found.length > 0 && found.every((value) => value === "" || value === "from the reference"));
  assert.ok(found.filter((value) => value !== "").length >= Math.min(20, total) - 2);
  const query = node.query({ target: target(2), command: GET }, {
    commit: ({ token, from }) =>
      node.request(
        { command: PUT, target: target(2), token, value: new TextEncoder().encode("from us") },
        from,
      ),
  });
  await query.finished();
  const { values } = await reference.ask("get", { node: 1, target: toHex(target(2)) });
  assert.ok(values.filter((value) => value === "from us").length >= Math.min(20, total) - 2);
}

async function testNetwork(body: (reference: Reference, nodes: Rpc[]) => Promise<void>): Promise<void> {
  const reference = new Reference();
  const nodes: Rpc[] = [];
  try {
    await body(reference, nodes);
  } finally {
    for (const node of nodes) await node.close();
    await reference.close();
  }
}

function test(name: string, body: (reference: Reference, nodes: Rpc[]) => Promise<void>): void {
  register(`dht interop: ${name}`, () => testNetwork(body), { skip });
}

test(
  "four of our nodes join eight of the reference, all know each other, values go both ways",
  async (reference, nodes) => {
    const { ports } = await reference.ask("network", { count: 8 });
    for (let i = 0; i < 4; i++) nodes.push(await ours({ bootstrap: [at(ports[0]!)] }));
    for (const node of nodes) {
      assert.deepEqual(
        [node.ephemeral, node.firewalled],
        [false, false],
        "the firewall test works with the reference",
      );
      assert.equal(node.natAddress?.toString(), `127.0.0.1:${portOf(node)}`);
      assert.deepEqual(node.id, nodeId(runtime.crypto, at(portOf(node))));
      for (const port of ports) assert.ok(node.toArray().some((address) => address.port === port));
    }
    const { nodes: states } = await reference.ask("state");
    for (const node of nodes) {
      const knowing = states.filter(({ knows }) => knows.includes(portOf(node)));
      assert.ok(knowing.length >= 6, `${knowing.length} of 8 know our node`);
    }
    await exchange(reference, nodes[0]!, 11);
  },
);

test(
  "four nodes of the reference join eight of ours, all know each other, values go both ways",
  async (reference, nodes) => {
    const port = 20_000 + runtime.random.below(20_000);
    const first = Rpc.bootstrapper(runtime, new UdxEndpoint(runtime, new NodeUdpNetwork()), {
      host: "127.0.0.1",
      port,
    });
    nodes.push(first);
    await first.open();
    await first.ready();
    for (let i = 0; i < 7; i++) nodes.push(await ours({ bootstrap: [at(port)] }));
    const { ports } = await reference.ask("network", { count: 4, bootstrap: port, firewalled: true });
    const { nodes: states } = await reference.ask("state");
    for (const { knows, id, seenAt, port: own, firewalled } of states) {
      assert.ok(nodes.every((node) => knows.includes(portOf(node))), "the reference knows all of ours");
      assert.equal(id, toHex(nodeId(runtime.crypto, at(own))), "it became persistent with our help");
      assert.deepEqual([seenAt, firewalled], [`127.0.0.1:${own}`, false]);
    }
    await reference.ask("ping", { node: 0, port });
    const known = new Set(first.toArray().map((address) => address.port));
    assert.ok(ports.filter((one) => known.has(one)).length >= 3, "ours know those of the reference");
    // The first node serves nothing: the exchange is between the others.
    await exchange(reference, nodes[1]!, 10);
  },
);

test("pings, delayed pings, searches and false tokens mean the same to both", async (reference, nodes) => {
  const { ports } = await reference.ask("network", { count: 9 });
  const node = await ours({ bootstrap: [at(ports[0]!)] });
  nodes.push(node);
  const pong = await node.ping(at(ports[3]!), { size: 100 });
  assert.deepEqual(pong.id, nodeId(runtime.crypto, at(ports[3]!)));
  assert.equal(pong.to.port, portOf(node));
  assert.equal((await node.delayedPing(at(ports[3]!), 50)).error, 0);
  const answer = await reference.ask("ping", { node: 2, port: portOf(node) });
  assert.equal(answer.nodeId, toHex(node.id!));
  assert.equal(answer.to, ports[2]);
  assert.equal((await reference.ask("delayedPing", { node: 2, port: portOf(node), ms: 50 })).error, 0);
  assert.deepEqual(await reference.ask("badToken", { node: 1, port: portOf(node) }), {
    error: 2,
    hasToken: true,
  });
  const refused = await node.request({ command: PUT, target: target(0), token: target(9) }, at(ports[1]!));
  assert.deepEqual([refused.error, refused.token?.length], [2, 32]);
  const unknown = await node.request({ command: 200, target: target(0) }, at(ports[1]!));
  assert.equal(unknown.error, 1);
  assert.ok(unknown.closerNodes.length >= 8);
  for (let n = 0; n < 5; n++) {
    const query = node.findNode(target(n));
    await query.finished();
    const { closest, errors } = await reference.ask("findNode", { node: 4, target: toHex(target(n)) });
    const others = (list: readonly number[], own: number[]) => list.filter((port) => !own.includes(port));
    const hidden = [portOf(node), ports[4]!];
    assert.deepEqual(
      others(query.closestNodes.map(({ port }) => port), hidden),
      others(closest, hidden),
      "both find the same nodes in the same order",
    );
    assert.equal(errors, 0);
  }
  assert.deepEqual(fromHex(toHex(node.tableId)), node.id);
});

/**
 * Swarms of both kinds under one topic, over loopback:
 *
 *     Swarm of ours  <-- UDP -->  testnet of the reference  <-- UDP -->  hyperswarm in Node
 */
import assert from "node:assert/strict";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { Dht } from "../../dht/mod.ts";
import { raw } from "../../encoding/raw.ts";
import { toHex } from "../../encoding/text.ts";
import { Swarm } from "../../swarm/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { test } from "../harness.ts";
import { Child, skip } from "./udx_support.ts";

const HOST = "127.0.0.1";
const NODES = 10;

/** What the child tells of one of its swarms. */
interface Seen {
  readonly peers: readonly string[];
  readonly heard: Readonly<Record<string, string>>;
  readonly open: number;
}

/** Greets on a new connection in one of the two ways, and notes what the peer says. */
function greet(connection: Connection, channels: boolean, heard: string[]): void {
  const hello = new TextEncoder().encode("hello");
  const hear = (bytes: Uint8Array) => void heard.push(new TextDecoder().decode(bytes));
  if (channels) {
    const channel = connection.mux.createChannel({ protocol: "greeting" })!;
    const message = channel.addMessage({ codec: raw.uint8Array, onMessage: hear });
    channel.open();
    message.send(hello);
    return;
  }
  const talk = async () => {
    await connection.write(hello);
    for await (const chunk of connection) hear(chunk);
  };
  talk().catch(() => {});
}

/** Waits until `isSo`, for ten seconds at most. */
async function eventually(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200 && !(await isSo()); i++) await new Promise((resolve) => setTimeout(resolve, 50));
}

for (const channels of [false, true]) {
  const how = channels ? "on channels, beside the proof of topics" : "by bare messages";
  test(
    `swarm: ours and the reference's meet under a topic, whoever comes first, and talk ${how}`,
    async () => {
      await using child = new Child("swarm_peer.mjs");
      const runtime = await loadSystemRuntime();
      const { port } = await child.ask("testnet", { size: NODES }) as unknown as { port: number };
      for (const [topic, isOursFirst] of [[1, true], [2, false]] as const) {
        const name = `swarm ${topic}`;
        await child.ask("swarm", { name, port, usesChannels: channels });
        const bootstrap = [`${HOST}:${port}`];
        await using dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap, host: HOST, port: 0 });
        await dht.open();
        await dht.ready();
        await using swarm = new Swarm(runtime, { dht, channels });
        const heard: string[] = [];
        swarm.on("connection", ({ detail }) => greet(detail.connection, channels, heard));
        const join = () => swarm.join(new Uint8Array(32).fill(topic)).flushed();
        if (isOursFirst) await join();
        await child.ask("join", { name, topic, flushes: !isOursFirst });
        if (!isOursFirst) await join();

        const key = toHex(swarm.keyPair.publicKey);
        const seen = async () => await child.ask("seen", { name }) as unknown as Seen;
        await eventually(async () => heard.length > 0 && (await seen()).heard[key] !== undefined);
        assert.equal(heard.at(-1), "hello");
        assert.equal((await seen()).heard[key], "hello");
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        assert.equal((await seen()).open, 1, "and stays");
        assert.equal(swarm.connections.size, 1);
      }
      await child.ask("stop");
    },
    { skip },
  );
}

/**
 * Swarms in a network of 10 nodes on loopback, in another process: two that join a topic, with and without a pause in between,
 * and a crowd of 50. `interop/reference/bench_swarm.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/swarm_bench.ts [--quick]
 *
 * Who does not meet in time is counted, and its time is the limit.
 */
import process from "node:process";
import type { Dht } from "../../dht/mod.ts";
import { Swarm } from "../../swarm/mod.ts";
import {
  bytesOf,
  cpuSince,
  flagValue,
  Helper,
  openDht,
  openNetwork,
  percentile,
  print,
  quick,
  runtime,
  serve,
  within,
} from "./support.ts";

const NODES = quick ? 4 : 10;
const PAIRS = quick ? 2 : 30;
const MEETING_MS = 4_000;
const CROWD = quick ? 4 : 50;
const WANTED = quick ? 2 : 8;
const CROWD_MS = 15_000;

if (flagValue("--network") !== undefined) await serve((await openNetwork(NODES)).port);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const helper = new Helper(import.meta.url, "--network", "");
const port = await helper.read<number>();
let topics = 0;

interface Member {
  readonly dht: Dht;
  readonly swarm: Swarm;
}

async function newMember(): Promise<Member> {
  const dht = await openDht(port, { ephemeral: true });
  const swarm = new Swarm(runtime, { dht });
  swarm.on("connection", ({ detail: { connection } }) => connection.closed.catch(() => {}));
  return { dht, swarm };
}

async function end(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map(async ({ dht, swarm }) => {
    await within(1_000, swarm.close());
    await dht.close({ force: true });
  }));
}

/** Resolves when the swarm has `count` connections. */
function connected({ swarm }: Member, count: number): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (swarm.connections.size >= count) resolve();
    };
    swarm.on("connection", check);
    check();
  });
}

for (const apart of [0, 100, 500]) {
  const times: number[] = [];
  let missed = 0;
  for (let i = 0; i < PAIRS; i++) {
    const topic = bytesOf(5, topics++);
    const pair = [await newMember(), await newMember()] as const;
    pair[0].swarm.join(topic);
    if (apart > 0) await pause(apart);
    const start = performance.now();
    pair[1].swarm.join(topic);
    const met = await within(MEETING_MS, Promise.all(pair.map((member) => connected(member, 1))));
    times.push(met ? performance.now() - start : MEETING_MS);
    if (!met) missed++;
    await end(pair);
  }
  const name = apart === 0 ? "two join at the same moment" : `two join ${apart} ms apart`;
  const work = `${PAIRS} pairs`;
  print(`${name}, p50`, "ms", percentile(times, 50), work);
  print(`${name}, slowest`, "ms", Math.max(...times), work);
  print(`${name}, not met in ${MEETING_MS} ms`, `of ${PAIRS}`, missed, work);
}

for (const apart of [20, 0]) {
  const topic = bytesOf(5, topics++);
  const members: Member[] = [];
  while (members.length < CROWD) members.push(await newMember());
  const start = performance.now();
  const cpu = process.cpuUsage();
  const waits: Promise<boolean>[] = [];
  for (const member of members) {
    member.swarm.join(topic);
    waits.push(within(CROWD_MS, connected(member, WANTED)));
    if (apart > 0) await pause(apart);
  }
  const lonely = (await Promise.all(waits)).filter((isDone) => !isDone).length;
  const time = performance.now() - start;
  const used = cpuSince(cpu) / 1e6;
  const name = apart === 0 ? `${CROWD} join at the same moment` : `${CROWD} join ${apart} ms apart`;
  const work = `${CROWD} peers, ${WANTED} connections`;
  print(`${name}, until each has ${WANTED} connections`, "s", time / 1000, work);
  print(`${name}, processor time`, "s", used, work);
  print(`${name}, with fewer connections in the end`, `of ${CROWD}`, lonely, work);
  await end(members);
}
helper.end();
process.exit(0);

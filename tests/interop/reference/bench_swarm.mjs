/** Swarms that join one topic: the work of `tests/bench/swarm_bench.ts` with the reference. */
import Hyperswarm from "hyperswarm";
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
  serve,
  within,
} from "./bench_support.mjs";

const NODES = quick ? 4 : 10;
const PAIRS = quick ? 2 : 30;
const MEETING_MS = 4_000;
const CROWD = quick ? 4 : 50;
const WANTED = quick ? 2 : 8;
const CROWD_MS = 15_000;

if (flagValue("--network") !== undefined) await serve((await openNetwork(NODES)).port);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const helper = new Helper(import.meta.url, "--network", "");
const port = await helper.read();
let topics = 0;

async function newMember() {
  const dht = await openDht(port, { ephemeral: true });
  const swarm = new Hyperswarm({ dht });
  swarm.on("connection", (socket) => socket.on("error", () => {}));
  return { dht, swarm };
}

async function end(members) {
  await Promise.all(members.map(async ({ dht, swarm }) => {
    await within(1_000, swarm.destroy({ force: true }));
    await within(1_000, dht.destroy({ force: true }));
  }));
}

function connected({ swarm }, count) {
  return new Promise((resolve) => {
    const check = () => {
      if (swarm.connections.size >= count) resolve();
    };
    swarm.on("connection", check);
    check();
  });
}

for (const apart of [0, 100, 500]) {
  const times = [];
  let missed = 0;
  for (let i = 0; i < PAIRS; i++) {
    const topic = bytesOf(5, topics++);
    const pair = [await newMember(), await newMember()];
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
  const members = [];
  while (members.length < CROWD) members.push(await newMember());
  const start = performance.now();
  const cpu = process.cpuUsage();
  const waits = [];
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

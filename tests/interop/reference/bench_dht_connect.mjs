/** Connecting by key: the work of `tests/bench/dht_connect_bench.ts` with the reference. */
import {
  flagValue,
  Helper,
  openDht,
  openNetwork,
  print,
  printTimes,
  quick,
  serve,
  within,
} from "./bench_support.mjs";

const NODES = quick ? 6 : 20;
const CONNECTIONS = quick ? 2 : 100;
const PAUSE_MS = 20;
const ECHO_MS = 2_000;

if (flagValue("--network") !== undefined) {
  const { port } = await openNetwork(NODES);
  await serve(port);
}

async function listen(dht) {
  const server = dht.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(data));
    socket.on("end", () => socket.end());
  });
  await server.listen();
  return server;
}

async function connect(client, publicKey) {
  const socket = client.connect(publicKey);
  await new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("open", resolve);
  });
  return socket;
}

async function echo(socket) {
  socket.write(Buffer.of(7));
  await new Promise((resolve) => socket.once("data", resolve));
}

async function measure(name, connectOnce) {
  const times = [];
  let silent = 0;
  for (let i = -CONNECTIONS; i < CONNECTIONS; i++) {
    const { socket, time, end } = await connectOnce();
    // Both sides are compiled in the first round.
    if (i >= 0) times.push(time);
    if (!await within(ECHO_MS, echo(socket)) && i >= 0) silent++;
    socket.destroy();
    await end?.();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  const work = `${CONNECTIONS} connections`;
  printTimes(name, times, work);
  print(`${name}, without an echo`, `of ${CONNECTIONS}`, silent, work);
}

const helper = new Helper(import.meta.url, "--network", "");
const port = await helper.read();

for (const isOpen of [true, false]) {
  const name = isOpen ? "to a reachable peer" : "to a peer that seems firewalled";
  const far = await openDht(port, { ephemeral: true, ...isOpen ? { firewalled: false } : {} });
  const server = await listen(far);
  const to = server.publicKey;

  const warm = await openDht(port, { ephemeral: true });
  await measure(`connect ${name}`, async () => {
    const start = performance.now();
    const socket = await connect(warm, to);
    return { socket, time: performance.now() - start };
  });
  await measure(`connect from a new node ${name}`, async () => {
    const start = performance.now();
    const fresh = await openDht(port, { ephemeral: true }, false);
    const socket = await connect(fresh, to);
    const time = performance.now() - start;
    return { socket, time, end: () => fresh.destroy({ force: true }) };
  });
  await Promise.all([warm.destroy({ force: true }), far.destroy({ force: true })]);
}
helper.end();
process.exit(0);

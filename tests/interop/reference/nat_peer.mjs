// HyperDHT of the reference as a program of its own, which tells JSON lines: the first nodes of a network, a server that echoes, or
// a client that connects and has its message echoed.
//   node nat_peer.mjs bootstrap HOST,... | server HOST | client HOST KEY
import DHT from "hyperdht";

const PORT = 49737;
const [role, hosts, key] = process.argv.slice(2);
const bootstrap = [{ host: hosts.split(",")[0], port: PORT }];
const tell = (event, details = {}) => process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);

async function openNode(options = {}) {
  const node = new DHT({ bootstrap, ...options });
  await node.fullyBootstrapped();
  return node;
}

const roles = {
  async bootstrap() {
    const [first, ...others] = hosts.split(",");
    await DHT.bootstrapper(PORT, first, { host: first }).fullyBootstrapped();
    for (const host of others) {
      await openNode({ host, port: PORT, anyPort: false, ephemeral: false, firewalled: false });
    }
    tell("ready");
  },

  async server() {
    const node = await openNode();
    const server = node.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => socket.write(data));
    });
    await server.listen();
    tell("ready", { key: server.publicKey.toString("hex") });
  },

  async client() {
    const node = await openNode();
    const socket = node.connect(Buffer.from(key, "hex"));
    socket.on("open", () => socket.write("hello"));
    socket.on("error", (error) => tell("result", { connected: false, error: error.code }));
    socket.once("data", () => tell("result", { connected: true, remote: socket.rawStream.remoteHost }));
  },
};

await roles[role]();

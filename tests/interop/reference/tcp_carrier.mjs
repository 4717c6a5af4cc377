/** Carries a reference stream over TCP on this host. */
import net from "node:net";

export async function open({ listen, port, onListening }) {
  if (!listen) return net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const server = net.createServer({ allowHalfOpen: true });
  const socket = new Promise((resolve) => server.once("connection", resolve));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  onListening({ port: server.address().port });
  const raw = await socket;
  server.close();
  return raw;
}

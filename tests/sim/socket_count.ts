/** How many sockets a simulated host has open. */
import type { SimulatedHost } from "../../transports/memory/mod.ts";

/** The count of one host. */
export interface SocketCount {
  /** Now. */
  open: number;
  /** At once, so far. */
  most: number;
}

/** Counts the sockets of `host` from now on. */
export function countSockets(host: SimulatedHost): SocketCount {
  const count: SocketCount = { open: 0, most: 0 };
  const bind = host.bind.bind(host);
  host.bind = async (options, receiver) => {
    const socket = await bind(options, receiver);
    count.most = Math.max(count.most, ++count.open);
    const close = socket.close.bind(socket);
    socket.close = () => {
      count.open--;
      return close();
    };
    return socket;
  };
  return count;
}

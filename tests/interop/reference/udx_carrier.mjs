/** Carries a reference stream over UDX on this host. Both sides must know the other's port and stream id. */
import UDX from "udx-native";

export async function open({ port, id, onListening }) {
  const udx = new UDX();
  const socket = udx.createSocket();
  socket.bind(0, "127.0.0.1");
  const stream = udx.createStream(1234);
  stream.connect(socket, id, port, "127.0.0.1");
  stream.on("close", () => socket.close());
  onListening({ port: socket.address().port, id: stream.id });
  return stream;
}

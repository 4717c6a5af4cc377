/** A program that listens over TCP and tells on stdout where, and how many links are open whenever that changes. */
import { SystemClock } from "../../../core/runtime/system.ts";
import { TcpTransport } from "../../../transports/tcp/mod.ts";

let links = 0;
const tell = (change: number) => console.log(JSON.stringify({ links: links += change }));
const transport = new TcpTransport({ clock: new SystemClock() }, { host: "127.0.0.1" });
const { addresses } = await transport.listen(({ duplex }) => {
  tell(1);
  duplex.attach({ onData() {}, onDrain() {}, onEnd: () => duplex.end(), onClose: () => tell(-1) });
});
console.log(JSON.stringify({ address: addresses[0] }));

/** The conformance suite of transports over TCP, in both families. */
import { SystemClock } from "../../../core/runtime/system.ts";
import { TcpTransport } from "../../../transports/tcp/mod.ts";
import { realTime, testTransport, type TransportUnderTest } from "../../../transports/testing.ts";
import { test } from "../../harness.ts";

function under(host: string, vacantAddress: string): Promise<TransportUnderTest> {
  const clock = new SystemClock();
  const dialer = new TcpTransport({ clock }, { dialTimeoutMs: 2000 });
  const listener = new TcpTransport({ clock }, { host });
  return Promise.resolve({
    dialer,
    listener,
    vacantAddress,
    invalidAddresses: ["tcp:", "tcp:localhost:1", "tcp:1.2.3.4:0", "tcp:::1:1", "udx:1.2.3.4:5"],
    until: realTime(clock),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([dialer.close(), listener.close()]);
    },
  });
}

for (const { name, run } of testTransport(() => under("127.0.0.1", "tcp:127.0.0.1:1"))) {
  test(`TCP on IPv4: ${name}`, run);
}
for (const { name, run } of testTransport(() => under("::1", "tcp:[::1]:1"))) {
  test(`TCP on IPv6: ${name}`, run);
}

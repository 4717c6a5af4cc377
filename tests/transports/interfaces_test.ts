import assert from "node:assert/strict";
import { VirtualClock } from "../../core/runtime/virtual.ts";
import { SocketAddress } from "../../encoding/address.ts";
import {
  InterfaceWatcher,
  localHosts,
  lookupHost,
  type NetworkInterface,
  networkInterfaces,
} from "../../transports/interfaces.ts";
import { test } from "../harness.ts";

test("the interfaces of this host include loopback, which is not told to others", () => {
  const loopback = networkInterfaces().find(({ host }) => host === "127.0.0.1");
  assert.equal(loopback?.isInternal, true);
  assert.equal(loopback?.family, 4);
  assert.ok(!localHosts().includes("127.0.0.1"));
  for (const host of localHosts()) assert.equal(SocketAddress.of(host, 1).host, host);
});

test("a watcher tells once for each change, and nothing after it is closed", () => {
  const clock = new VirtualClock();
  const address = (host: string): NetworkInterface => ({ name: "eth0", host, family: 4, isInternal: false });
  let current = [address("10.0.0.1")];
  const seen: string[] = [];
  const watcher = new InterfaceWatcher(
    clock,
    (list) => seen.push(list.map(({ host }) => host).join()),
    () => current,
  );
  clock.run({ until: 20_000 });
  current = [address("10.0.0.2")];
  clock.run({ until: 40_000 });
  current = [];
  clock.run({ until: 60_000 });
  assert.deepEqual(seen, ["10.0.0.2", ""]);
  watcher.close();
  current = [address("10.0.0.3")];
  clock.run({ until: 80_000 });
  assert.equal(seen.length, 2);
  assert.equal(clock.pending, 0);
});

test("an address needs no look-up, and a name that is none is an error that says so", async () => {
  assert.equal((await lookupHost("127.0.0.1", 80)).toString(), "127.0.0.1:80");
  assert.equal((await lookupHost("::1", 80)).toString(), "[::1]:80");
  await assert.rejects(lookupHost("name..invalid", 1), {
    code: "ADDRESS_UNUSABLE",
    message: /name\.\.invalid/,
  });
});

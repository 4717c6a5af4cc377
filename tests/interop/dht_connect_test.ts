/**
 * Connecting by key against the reference. Each of us listens and dials, as reachable nodes, over the "local network", and by a
 * punch that both are made to believe in.
 */
import assert from "node:assert/strict";
import { fromHex, toHex } from "../../encoding/text.ts";
import { checkDatagram } from "../dht/wire_bytes.ts";
import { test } from "../harness.ts";
import { DhtRig, echoServer, KINDS, sayHello } from "./dht_rig.ts";
import { skip } from "./udx_support.ts";

interface Mode {
  readonly name: string;
  /** How nodes are made, on either side. */
  readonly node: {
    readonly quickFirewall?: boolean;
    readonly ephemeral?: boolean;
    readonly firewalled?: boolean;
  };
  readonly listen: { readonly shareLocalAddress?: boolean };
  readonly dial: { readonly localConnection?: boolean };
  /** What the path is called. */
  readonly kind: string;
}

const MODES: readonly Mode[] = [
  {
    name: "reachable nodes",
    node: { firewalled: false, ephemeral: true },
    listen: {},
    dial: {},
    kind: "direct",
  },
  {
    name: "the local network",
    node: { quickFirewall: false, ephemeral: true },
    listen: {},
    dial: {},
    kind: "lan",
  },
  {
    name: "a punch",
    node: { quickFirewall: false, ephemeral: true },
    listen: { shareLocalAddress: false },
    dial: { localConnection: false },
    kind: "punched",
  },
];

/** We dial them, they dial us; both talk. */
async function dialBothWays(rig: DhtRig, mode: Mode): Promise<void> {
  await rig.peer(mode.node);
  const ours = await rig.dht(mode.node);
  const { publicKey } = await rig.ask("listen", { name: "server", node: "node", ...mode.listen });

  const dialed = await ours.connect(fromHex(publicKey), mode.dial);
  await sayHello(dialed);
  assert.equal(dialed.path.kind, mode.kind);
  const seen = await rig.ask("seen", { name: "server" });
  assert.deepEqual([seen.connections, seen.received], [1, "hello"]);
  await dialed.close();

  const { accepted } = await echoServer(ours, mode.listen);
  const key = toHex(ours.keyPair.publicKey);
  const { echoed } = await rig.ask("connect", { node: "node", publicKey: key, message: "hi", ...mode.dial });
  assert.equal(echoed, "hi");
  assert.equal(accepted.length, 1);
  // Whatever came to our nodes meanwhile is what we would have sent ourselves.
  for (const datagram of rig.datagrams) checkDatagram(datagram);
}

for (const kind of KINDS) {
  for (const mode of MODES) {
    test(
      `H9 in a network of kind "${kind}", we dial the reference and it dials us over ${mode.name}`,
      async () => {
        await using rig = await DhtRig.open(kind);
        await dialBothWays(rig, mode);
      },
      { skip },
    );
  }
}

for (const mode of MODES) {
  test(`H9 we dial hyperdht 6.32 and it dials us over ${mode.name}`, async () => {
    await using rig = await DhtRig.open("theirs", "hyperdht-6.32");
    await dialBothWays(rig, mode);
  }, { skip });
}

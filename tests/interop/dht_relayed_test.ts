/** Connections through blind relays, of ours and of the reference, between peers of both. */
import assert from "node:assert/strict";
import type { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { test as register } from "../harness.ts";
import { DhtRig, echoServer, eventually, sayHello } from "./dht_rig.ts";
import { skip } from "./udx_support.ts";

const SIDES = ["ours", "theirs"] as const;
type Side = typeof SIDES[number];
/** Such nodes believe that they have to punch. */
const HIDDEN = { quickFirewall: false, ephemeral: true };
const SECLUDED = { shareLocalAddress: false, holepunch: false } as const;
const DIAL = { localConnection: false } as const;

function test(name: string, body: (rig: DhtRig) => Promise<void>): void {
  register(name, async () => {
    await using rig = await DhtRig.open("theirs");
    await body(rig);
  }, { skip });
}

/** A server of either side. */
interface Server {
  /** Its key in hex. */
  readonly key: string;
  /** The node, and what it has accepted, if it is one of ours. */
  readonly dht?: Dht;
  readonly accepted?: readonly DhtConnection[];
}

async function listen(rig: DhtRig, side: Side, relayThrough?: Uint8Array, punches = false): Promise<Server> {
  const options = punches ? { shareLocalAddress: false } : SECLUDED;
  if (side === "ours") {
    const dht = await rig.dht(HIDDEN);
    const relay = relayThrough === undefined ? {} : { relayThrough };
    const { accepted } = await echoServer(dht, { ...options, ...relay });
    return { key: toHex(dht.keyPair.publicKey), dht, accepted };
  }
  await rig.peer({ name: "server", ...HIDDEN });
  const relay = relayThrough === undefined ? {} : { relayThrough: toHex(relayThrough) };
  const { publicKey } = await rig.ask("listen", { name: "s", node: "server", ...options, ...relay });
  return { key: publicKey };
}

for (const relayKind of SIDES) {
  for (const dialer of SIDES) {
    for (const listener of SIDES) {
      for (const namer of ["client", "server"] as const) {
        const way = `${dialer} reach ${listener} through a relay of ${relayKind} that the ${namer} names`;
        test(`H21 ${way}`, async (rig) => {
          const { publicKey: relayThrough, matched } = await rig.relay(relayKind);
          const server = await listen(rig, listener, namer === "server" ? relayThrough : undefined);
          if (dialer === "ours") {
            const dht = await rig.dht(HIDDEN);
            const relay = namer === "client" ? { relayThrough } : {};
            const dialed = await dht.connect(fromHex(server.key), { ...DIAL, ...relay });
            await sayHello(dialed);
            assert.equal(dialed.path.kind, "relayed");
            await dialed.close();
            // A node of the reference that is destroyed before it has seen the end through the relay takes 13 s for it.
            if (listener === "theirs") {
              await eventually(async () => (await rig.ask("connection", { name: "s" })).closed);
            }
          } else {
            await rig.peer({ name: "client", ...HIDDEN });
            const relay = namer === "client" ? { relayThrough: toHex(relayThrough) } : {};
            const dial = { node: "client", publicKey: server.key, message: "hi", ...DIAL, ...relay };
            assert.equal((await rig.ask("connect", dial)).echoed, "hi");
          }
          if (server.accepted !== undefined) {
            assert.deepEqual(server.accepted.map(({ path }) => path.kind), ["relayed"]);
          }
          assert.equal(await matched(), 1);
        });
      }
    }
  }
}

for (const listener of SIDES) {
  for (const relayKind of SIDES) {
    const who = `a server of ${listener} and the other side`;
    test(`H21 ${who} leave a relay of ${relayKind} for a punched path in place`, async (rig) => {
      const { publicKey: relayThrough } = await rig.relay(relayKind);
      const server = await listen(rig, listener, undefined, true);
      if (listener === "theirs") {
        const dht = await rig.dht(HIDDEN);
        const dialed = await dht.connect(fromHex(server.key), { ...DIAL, relayThrough });
        await eventually(async () => {
          await sayHello(dialed);
          return dialed.path.kind === "punched";
        });
        await sayHello(dialed);
        await dialed.close();
        await eventually(async () => (await rig.ask("connection", { name: "s" })).closed);
      } else {
        await rig.peer({ name: "client", ...HIDDEN });
        const dial = { ...DIAL, relayThrough: toHex(relayThrough) };
        await rig.ask("open", { name: "c", node: "client", publicKey: server.key, ...dial });
        await rig.ask("say", { name: "c", message: "a" });
        await eventually(() => server.accepted![0]?.path.kind === "punched");
        await rig.ask("say", { name: "c", message: "b" });
        await eventually(async () => (await rig.ask("connection", { name: "c" })).received === "ab");
      }
    });
  }
}

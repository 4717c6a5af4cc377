/** Fuzz targets of being dialed: first messages of anybody, and rounds of inputs in any order. */
import assert from "node:assert/strict";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { AcceptMachine } from "../../dht/accept_machine.ts";
import { AttemptLimits } from "../../dht/attempt_limits.ts";
import { PeerHandshaking } from "../../dht/handshake.ts";
import { Firewall } from "../../dht/punch/constants.ts";
import { dhtNamespaces } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { concat } from "../../encoding/bytes.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const context = {
  runtime: { crypto, random: new SeededRandom("accept") },
  namespaces: dhtNamespaces(crypto),
};
const server = crypto.keyPair(new Uint8Array(32).fill(1));
const client = crypto.keyPair(new Uint8Array(32).fill(2));
const [CLIENT, RELAY, OWN] = ["20.0.1.1:1000", "20.0.2.1:49737", "20.0.3.1:49737"].map((text) =>
  SocketAddress.parse(text)
) as [SocketAddress, SocketAddress, SocketAddress];

function firstMessage(firewall: number, hasStream: boolean): Uint8Array {
  return new PeerHandshaking(context, client, server.publicKey).send({
    ...{ error: 0, firewall, addresses4: [OWN], addresses6: [], secretStream: true },
    udx: hasStream ? { reusableSocket: false, id: 5, seq: 0 } : undefined,
  });
}

const MEETING = { publicKey: client.publicKey, token: new Uint8Array(32) };

/** Bytes of commands before the message. */
const COMMANDS = 12;

/** The targets. */
export const targets: readonly FuzzTarget[] = [
  {
    name: "AcceptMachine",
    seeds: [firstMessage(Firewall.Unknown, true), firstMessage(Firewall.Open, true), firstMessage(0, false)]
      .map((noise) => concat([Uint8Array.of(0, 1, 3, 5, 6, 8, 0, 1, 4, 5, 7, 8), noise])),
    run(input: Uint8Array): string {
      const limits = new AttemptLimits();
      const machine = new AcceptMachine({
        ...context,
        ...{ keyPair: server, limits, mayPunch: true, reusableSocket: false },
      });
      const noise = input.slice(COMMANDS);
      const lists = { localAddresses: [OWN], relays: [], relayAddresses: [] };
      const facts = { streamId: 1, ...lists, relayThrough: MEETING, isGone: false, isBusy: false };
      const kinds = new Set<string>();
      let now = 0;
      for (const command of input.subarray(0, COMMANDS)) {
        now += command * 10;
        const from = { clientAddress: CLIENT, isDirect: (command & 16) !== 0, from: RELAY, to: OWN };
        const inputs = [
          () => machine.handleHandshake(now, command, { noise, ...from }),
          () => machine.allow(now, 0, { ...facts, ownAddress: (command & 32) === 0 ? undefined : OWN }),
          () => machine.deny(now, 0),
          () => machine.handlePrepared(now, 0, true),
          () => machine.handlePunch(now, 0, (command & 16) !== 0),
          () => machine.handlePacket(now, 0),
          () => machine.handleRelayEnd(now, 0),
          () => machine.handleProven(now, 0),
          () => machine.handleStreamEnd(now, 0),
          () => machine.handleTimeout(now),
        ];
        inputs[command % inputs.length]!();
        for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
          kinds.add(event.type);
        }
      }
      machine.clear(now);
      assert.deepEqual([machine.size, limits.size, machine.nextTimeout()], [0, 0, Infinity]);
      return [...kinds].sort().join();
    },
  },
];

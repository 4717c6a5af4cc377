/** Fuzz targets of the blind relay: its messages, and a server whose clients send anything, in any order and at any time. */
import assert from "node:assert/strict";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { RELAY_PROTOCOL, relayPair, RelayServer, relayUnpair } from "../../dht/relay.ts";
import { rawBuffer } from "../../encoding/buffers.ts";
import { type Codec, Cursor, decodeExact, encode } from "../../encoding/codec.ts";
import { SimulatedNetwork } from "../../transports/memory/mod.ts";
import { UdxEndpoint } from "../../transports/udx/mod.ts";
import type { FuzzTarget } from "./target.ts";

const token = (n: number) => new Uint8Array(32).fill(n);

function codecTarget<T>(name: string, codec: Codec<T>, seeds: readonly T[]): FuzzTarget {
  return {
    name,
    seeds: seeds.map((value) => encode(codec, value)),
    run(input: Uint8Array): void {
      const bytes = encode(codec, codec.decode(new Cursor(input)));
      assert.deepEqual(encode(codec, decodeExact(codec, bytes)), bytes);
    },
  };
}

const pairs = [0, 1, 2, 3].map((n) => ({
  isInitiator: n % 2 === 0,
  token: token(n >> 1),
  streamId: n,
  seq: 0,
}));
const QUOTAS = { maxPending: 4, maxPendingPerKey: 3, maxLinks: 2, maxLinksPerKey: 2 };

/** A script is steps of kind, length and body: who sends what, or how long nothing happens. */
function play(script: Uint8Array): string {
  const clock = new VirtualClock();
  const network = new SimulatedNetwork({ clock, random: new SeededRandom("fuzz") });
  const endpoint = new UdxEndpoint({ clock, random: new SeededRandom("fuzz") }, network.host());
  const relay = new RelayServer(clock, endpoint, { quotas: QUOTAS });
  const clients = [1, 2].map((n) => {
    const [near, far] = duplexPair({ framing: "message" });
    const [mux, served] = [new Mux(near), new Mux(far)];
    relay.accept({ mux: served, remotePublicKey: token(n) });
    const channel = mux.createChannel({ protocol: RELAY_PROTOCOL, id: token(n) })!;
    const messages = [0, 1].map(() => channel.addMessage({ codec: rawBuffer }));
    channel.open();
    return { mux, channel, messages };
  });
  for (let at = 0; at + 2 <= script.length;) {
    const [kind, length] = [script[at]!, script[at + 1]!];
    const body = script.slice(at + 2, at + 2 + length);
    at += 2 + length;
    const { mux, channel, messages } = clients[kind & 1]!;
    if ((kind & 6) === 0) messages[0]!.send(body);
    else if ((kind & 6) === 2) messages[1]!.send(body);
    else if ((kind & 6) === 4) clock.run({ until: clock.now() + 100 * length });
    else if ((kind & 0xf8) === 0) channel.close();
    else if ((kind & 0xf8) === 8) mux.destroy();
    clock.run({ until: clock.now() + 1 });
    const { pending, links } = relay.quotas;
    assert.ok(pending <= QUOTAS.maxPending && links <= QUOTAS.maxLinks && endpoint.streamCount <= 2 * links);
  }
  const { pairings, refused } = relay.stats;
  relay.destroy();
  const { sessions, pending, links } = relay.quotas;
  assert.deepEqual([sessions, pending, links, endpoint.streamCount], [0, 0, 0, 0]);
  assert.equal(pairings.matched * 2 + pairings.expired <= pairings.requested, true);
  return [pairings.matched, pairings.cancelled, pairings.expired, refused.duplicate, refused.pending]
    .map((count) => Math.min(count, 2)).join();
}

const step = (kind: number, body: Uint8Array) => [kind, body.length, ...body];
const ask = (n: number) => encode(relayPair, pairs[n]!);
const scripts = [
  [...step(0, ask(0)), ...step(1, ask(1)), ...step(2, encode(relayUnpair, { token: token(0) }))],
  [
    ...step(0, ask(0)),
    ...step(0, ask(1)),
    ...step(0, ask(2)),
    ...step(1, ask(3)),
    ...step(6, new Uint8Array(0)),
  ],
  [...step(0, ask(0)), 4, 0, ...step(0, ask(0)), ...step(14, new Uint8Array(0)), ...step(1, ask(1))],
];

/** All targets of the blind relay. */
export const targets: readonly FuzzTarget[] = [
  codecTarget("relayPair", relayPair, pairs),
  codecTarget("relayUnpair", relayUnpair, [{ token: token(9) }]),
  { name: "RelayServer", seeds: scripts.map((script) => Uint8Array.from(script)), run: play },
];

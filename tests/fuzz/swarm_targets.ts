/** Fuzz targets of `swarm/`: what a peer can send on the channel of topics. */
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { Connection } from "../../core/stream/connection.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { decode, encode } from "../../encoding/codec.ts";
import { raw } from "../../encoding/raw.ts";
import { TopicProof } from "../../swarm/topic_proof.ts";
import { packTags, topicsMessage, topicTag } from "../../swarm/topic_tags.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const keys = [1, 2].map((n) => crypto.keyPair(new Uint8Array(32).fill(n)));
const topic = new Uint8Array(32).fill(3);
const tags = packTags([topicTag(crypto, topic, true, new Uint8Array(64))], new SeededRandom("tags"));
const message = encode(topicsMessage, { isExplicit: true, tags });

function frames(...list: Uint8Array[]): Uint8Array {
  return Uint8Array.from(list.flatMap((frame) => [frame.length, ...frame]));
}

/** All targets of this folder. */
export const targets: readonly FuzzTarget[] = [
  {
    name: "topicsMessage",
    seeds: [message, encode(topicsMessage, { isExplicit: false, tags: new Uint8Array(0) })],
    run(input: Uint8Array): void {
      const value = decode(topicsMessage, input);
      const again = decode(topicsMessage, encode(topicsMessage, value));
      if (again.isExplicit !== value.isExplicit || again.tags.length !== value.tags.length) {
        throw new Error("a message is another one after a round trip");
      }
    },
  },
  {
    name: "TopicProof",
    seeds: [frames(message), frames(message, encode(topicsMessage, { isExplicit: false, tags }))],
    run(input: Uint8Array): string {
      const runtime = { clock: new VirtualClock(), random: new SeededRandom("fuzz"), crypto };
      const [near, far] = duplexPair();
      const ours = new Connection(near, runtime, { isInitiator: false, keyPair: keys[0]! });
      const theirs = new Connection(far, runtime, { isInitiator: true, keyPair: keys[1]! });
      let changes = 0;
      const showing = { topics: [{ topic, key: topic }], isExplicit: false };
      const proof = new TopicProof(runtime, ours, showing, () => void changes++);
      proof.start();
      const channel = theirs.mux.createChannel({ protocol: "hypha/topics/1" })!;
      const words = channel.addMessage({ codec: raw.uint8Array });
      channel.open();
      for (let at = 0; at < input.length;) {
        const size = input[at++]!;
        words.send(input.slice(at, at + size));
        at += size;
      }
      runtime.clock.run({ until: 1 });
      if (proof.shared.size > 0) throw new Error("a topic was proven by noise");
      const outcome = ours.mux.isDestroyed ? "refused" : `${changes} changes`;
      ours.abort();
      runtime.clock.run({ until: 2 });
      return outcome;
    },
  },
];

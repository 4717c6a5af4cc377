/**
 * A DHT beside faster ways: until it is clear that no node answers takes seconds, in which a peer in the local network could have
 * been met already.
 */
import { ConnectError } from "../core/runtime/errors.ts";
import type { Clock } from "../core/runtime/runtime.ts";
import type { Dht } from "../dht/mod.ts";
import type { SwarmDht, SwarmIdentity } from "../swarm/mod.ts";
import { within } from "../swarm/within.ts";
import type { Transport } from "../transports/transport.ts";

/** How long the other ways wait until the DHT can lead to this side, in milliseconds. */
const MAX_WAIT_MS = 1000;

/** `dht` for a swarm that listens in other ways as well: it goes on announcing its key when those begin. */
export function unhurried(clock: Clock, dht: Dht): SwarmDht {
  return {
    scheme: dht.scheme,
    addressOf: (publicKey) => dht.addressOf(publicKey),
    forIdentity: (identity) => forIdentity(clock, dht, identity),
    get isNatRandom() {
      return dht.isNatRandom;
    },
    dial: (address, options) => dht.dial(address, options),
    listen: (onLink, options) => dht.listen(onLink, options),
    lookup: (topic, options) => dht.lookup(topic, options),
    announce: (topic, self, options) => dht.announce(topic, self, options),
    watchNetwork: (onChange, options) => dht.watchNetwork(onChange, options),
  };
}

function forIdentity(clock: Clock, dht: Dht, identity: SwarmIdentity): Transport {
  const transport = dht.forIdentity(identity);
  return {
    scheme: transport.scheme,
    dial: (address, options) => transport.dial(address, options),
    listen: async (onLink, { signal }) => {
      const over = new AbortController();
      const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
      const listening = transport.listen(onLink, { signal: either });
      let failure: unknown;
      listening.catch((error) => failure = error);
      await within(clock, MAX_WAIT_MS, listening);
      if (failure !== undefined) throw failure;
      return {
        addresses: [dht.addressOf(identity.keyPair.publicKey)],
        [Symbol.asyncDispose]: async () => {
          over.abort(new ConnectError("ABORTED", "No longer wanted"));
          await listening.then((listener) => listener[Symbol.asyncDispose](), () => {});
        },
      };
    },
  };
}

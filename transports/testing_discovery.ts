/**
 * The suite that every `Discovery` must pass.
 */
import {
  calm,
  type ConformanceCase,
  eventually,
  expect,
  rejection,
  settled,
  type Until,
} from "./testing_kit.ts";
import type { Discovery, PeerRecord } from "./transport.ts";

/** What a discovery's author hands to {@linkcode testDiscovery}, fresh for each case. */
export interface DiscoveryUnderTest extends AsyncDisposable {
  /** Announces. */
  readonly announcer: Discovery;
  /** Announces too, from another place. */
  readonly otherAnnouncer: Discovery;
  /** Looks up. */
  readonly seeker: Discovery;
  /** Addresses that the discovery can carry, to announce. */
  readonly addresses: readonly string[];
  /**
   * Whether a lookup tells topics apart, as it does by default. Where topics are kept from the network, as in mDNS, it finds
   * all peers, and the layer above matches topics with them after the handshake.
   */
  readonly knowsTopics?: boolean;
  /** Lets the world go on: `realTime` or `virtualTime`, or an own way. */
  readonly until: Until;
}

const TOPIC = new Uint8Array(32).fill(0x11);
const OTHER_TOPIC = new Uint8Array(32).fill(0x22);

type Body = (under: DiscoveryUnderTest) => Promise<void>;

function peer(under: DiscoveryUnderTest, id: number): PeerRecord {
  return { publicKey: new Uint8Array(32).fill(id), addresses: under.addresses };
}

function announce(
  under: DiscoveryUnderTest,
  by: Discovery,
  topic: Uint8Array,
  id: number,
): Promise<AsyncDisposable> {
  return settled(under.until, "announce", by.announce(topic, peer(under, id), {}));
}

async function collect(found: AsyncIterable<PeerRecord>): Promise<PeerRecord[]> {
  const records: PeerRecord[] = [];
  for await (const record of found) records.push(record);
  return records;
}

/** The first bytes of the keys that are found under `topic`, sorted, each once. */
async function find(under: DiscoveryUnderTest, topic: Uint8Array): Promise<string> {
  const records = await settled(under.until, "lookup", collect(under.seeker.lookup(topic, {})));
  return [...new Set(records.map((record) => record.publicKey[0]))].sort().join();
}

async function isFound(
  under: DiscoveryUnderTest,
  topic: Uint8Array,
  ids: string,
  what: string,
): Promise<void> {
  let found = "";
  // News may take a while to spread: ask again until it has.
  for (let tries = 0; tries < 50; tries++) {
    found = await find(under, topic);
    if (found === ids) return;
    await calm(under.until);
  }
  expect(false, `${what}: expected the peers [${ids}], found [${found}]`);
}

const CASES: Record<string, Body> = {
  "a lookup finds what was announced, with key and addresses": async (under) => {
    await announce(under, under.announcer, TOPIC, 1);
    await isFound(under, TOPIC, "1", "after the announcement");
    const [record] = await settled(under.until, "lookup", collect(under.seeker.lookup(TOPIC, {})));
    expect(record !== undefined && record.publicKey.length === 32, "the key is not whole");
    expect(record.publicKey.every((byte) => byte === 1), "the key is another one");
    for (const address of under.addresses) {
      expect(record.addresses.includes(address), `${address} is missing in [${record.addresses}]`);
    }
  },
  "a lookup of a topic that nobody announced ends without a peer": async (under) => {
    if (under.knowsTopics !== false) await announce(under, under.announcer, OTHER_TOPIC, 1);
    expect(await find(under, TOPIC) === "", "a peer was found under another topic");
  },
  "a lookup finds all who announced": async (under) => {
    await announce(under, under.announcer, TOPIC, 1);
    await announce(under, under.otherAnnouncer, TOPIC, 2);
    await isFound(under, TOPIC, "1,2", "after both announcements");
  },
  "an announcement that is disposed of is found no more, and others are": async (under) => {
    const first = await announce(under, under.announcer, TOPIC, 1);
    await announce(under, under.otherAnnouncer, TOPIC, 2);
    await isFound(under, TOPIC, "1,2", "before");
    await settled(under.until, "dispose", Promise.resolve(first[Symbol.asyncDispose]()));
    await settled(under.until, "dispose twice", Promise.resolve(first[Symbol.asyncDispose]()));
    await isFound(under, TOPIC, "2", "after the first was disposed of");
  },
  "one place can announce several topics": async (under) => {
    await announce(under, under.announcer, TOPIC, 1);
    await announce(under, under.announcer, OTHER_TOPIC, 1);
    await isFound(under, TOPIC, "1", "the first topic");
    await isFound(under, OTHER_TOPIC, "1", "the second topic");
  },
  "an aborted lookup or announcement fails with the reason of its signal": async (under) => {
    const reason = new Error("no longer wanted");
    const options = { signal: AbortSignal.abort(reason) };
    const lookup = await rejection(under.until, "lookup", collect(under.seeker.lookup(TOPIC, options)));
    expect(lookup === reason, `lookup: expected the reason, got ${lookup}`);
    const announcing = under.announcer.announce(TOPIC, peer(under, 1), options);
    const error = await rejection(under.until, "announce", announcing);
    expect(error === reason, `announce: expected the reason, got ${error}`);
  },
  "a lookup can be left early": async (under) => {
    await announce(under, under.announcer, TOPIC, 1);
    await isFound(under, TOPIC, "1", "after the announcement");
    let isLeft = false;
    void (async () => {
      for await (const _ of under.seeker.lookup(TOPIC, {})) break;
      isLeft = true;
    })();
    await eventually(under.until, "leave the lookup", () => isLeft);
  },
};

/**
 * The cases that every discovery must pass; register them with your test runner.
 *
 * @example
 * ```ts
 * import { macrotask } from "../core/runtime/system.ts";
 * import { SeededRandom, VirtualClock } from "../core/runtime/virtual.ts";
 * import { MemoryDiscovery, SimulatedNetwork } from "./memory/mod.ts";
 * import { testDiscovery, virtualTime } from "./testing.ts";
 *
 * const cases = testDiscovery(() => {
 *   const clock = new VirtualClock();
 *   const network = new SimulatedNetwork({ clock, random: new SeededRandom(1) });
 *   return Promise.resolve({
 *     announcer: new MemoryDiscovery(network.host()),
 *     otherAnnouncer: new MemoryDiscovery(network.host()),
 *     seeker: new MemoryDiscovery(network.host()),
 *     addresses: ["memory:host0:1"],
 *     until: virtualTime(clock, macrotask),
 *     [Symbol.asyncDispose]: () => Promise.resolve(),
 *   });
 * });
 * for (const { run } of cases) await run(); // in tests: Deno.test(name, run) or test(name, run)
 * ```
 */
export function testDiscovery(make: () => Promise<DiscoveryUnderTest>): ConformanceCase[] {
  return Object.entries(CASES).map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      try {
        await body(under);
      } finally {
        await under[Symbol.asyncDispose]();
      }
    },
  }));
}

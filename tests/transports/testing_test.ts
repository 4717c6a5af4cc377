/** The conformance suites notice what is broken: each mutant of a good implementation fails the case that it should. */
import assert from "node:assert/strict";
import { macrotask } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import type { Duplex, Sink } from "../../core/stream/duplex.ts";
import type { DatagramNetwork } from "../../transports/datagram.ts";
import { MemoryTransport, SimulatedNetwork } from "../../transports/memory/mod.ts";
import {
  ConformanceError,
  testDatagramNetwork,
  testTransport,
  virtualTime,
} from "../../transports/testing.ts";
import type { Transport } from "../../transports/transport.ts";
import { test } from "../harness.ts";

/** Changes one end of each dialed link. */
type Mutant = (duplex: Duplex) => Partial<Duplex>;

function mutated(transport: Transport, mutant: Mutant): Transport {
  return {
    scheme: transport.scheme,
    listen: (onLink, options) => transport.listen(onLink, options),
    dial: async (address, options) => {
      const link = await transport.dial(address, options);
      const { duplex } = link;
      const whole: Duplex = {
        framing: duplex.framing,
        attach: (sink) => duplex.attach(sink),
        alloc: (size) => duplex.alloc(size),
        write: (chunk) => duplex.write(chunk),
        pause: () => duplex.pause(),
        resume: () => duplex.resume(),
        end: () => duplex.end(),
        destroy: (error) => duplex.destroy(error),
        ...(duplex.unordered === undefined ? {} : { unordered: duplex.unordered }),
        ...mutant(duplex),
      };
      return { ...link, duplex: whole };
    },
  };
}

/** A sink that passes everything on, but for what `changes` says. */
function passing(sink: Sink, changes: Partial<Sink>): Sink {
  return {
    onData: (chunk) => sink.onData(chunk),
    onDrain: () => sink.onDrain(),
    onEnd: () => sink.onEnd(),
    onUnordered: (message) => sink.onUnordered?.(message),
    onClose: (error) => sink.onClose(error),
    ...changes,
  };
}

/** The names of the cases that fail. */
async function failures(mutant: Mutant): Promise<string[]> {
  const failed: string[] = [];
  const cases = testTransport(() => {
    const clock = new VirtualClock();
    const network = new SimulatedNetwork({ clock, random: new SeededRandom(1) });
    return Promise.resolve({
      dialer: mutated(new MemoryTransport(network.host({ name: "a" })), mutant),
      listener: new MemoryTransport(network.host({ name: "b" })),
      vacantAddress: "memory:b:9",
      invalidAddresses: [],
      until: virtualTime(clock, macrotask),
      maxBufferedBytes: 256 * 1024,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  });
  for (const { name, run } of cases) {
    await run().catch((error) => {
      assert.ok(error instanceof ConformanceError, `${name}: ${error?.stack}`);
      failed.push(name);
    });
  }
  return failed;
}

const MUTANTS: Record<string, { readonly mutant: Mutant; readonly fails: RegExp }> = {
  "changes a byte": {
    mutant: (duplex) => ({
      write: (chunk) => {
        if (chunk.length > 500) chunk[500]! ^= 1;
        return duplex.write(chunk);
      },
    }),
    fails: /unchanged/,
  },
  "never says that it is full": {
    mutant: (duplex) => ({
      write: (chunk) => {
        duplex.write(chunk);
        return true;
      },
    }),
    fails: /pauses stops the writer/,
  },
  "loses the end": { mutant: () => ({ end: () => {} }), fails: /ends on its own/ },
  "closes when it ends": { mutant: (duplex) => ({ end: () => duplex.destroy() }), fails: /ends on its own/ },
  "closes twice": {
    mutant: (duplex) => ({
      attach: (sink) =>
        duplex.attach(passing(sink, {
          onClose: (error) => {
            sink.onClose(error);
            sink.onClose(error);
          },
        })),
    }),
    fails: /destroy closes both ends once/,
  },
  "drains without need": {
    mutant: (duplex) => ({
      attach: (sink) =>
        duplex.attach(passing(sink, {
          onData: (chunk) => {
            sink.onData(chunk);
            sink.onDrain();
          },
        })),
    }),
    fails: /bytes cross both ways/,
  },
  "forgets the error of destroy": {
    mutant: (duplex) => ({ destroy: () => duplex.destroy(new Error("something")) }),
    fails: /its own end with its error/,
  },
  "gives too much memory": {
    mutant: (duplex) => ({ alloc: (size) => duplex.alloc(size + 1) }),
    fails: /alloc gives exactly/,
  },
};

for (const [what, { mutant, fails }] of Object.entries(MUTANTS)) {
  test(`the suite of transports notices a link that ${what}`, async () => {
    const failed = await failures(mutant);
    assert.ok(failed.some((name) => fails.test(name)), `failed: ${failed.join("; ") || "nothing"}`);
  });
}

test("the suite of transports passes the implementation without a mutation", async () => {
  assert.deepEqual(await failures(() => ({})), []);
});

test("the suite of datagram networks notices reordering, loss and a false address", async () => {
  const broken: Record<string, (network: SimulatedNetwork) => DatagramNetwork> = {
    reorder: (network) => network.host({ link: { latencyMs: 1, reorder: [1, 4] } }),
    loss: (network) => network.host({ link: { loss: [1, 2] } }),
    duplicate: (network) => network.host({ link: { duplicate: [1, 2] } }),
    "false address": (network) => network.host({ behind: network.router({ type: "symmetric" }) }),
  };
  for (const [what, make] of Object.entries(broken)) {
    let failed = 0;
    const cases = testDatagramNetwork(() => {
      const clock = new VirtualClock();
      const network = new SimulatedNetwork({ clock, random: new SeededRandom(1) });
      const far = network.host();
      return Promise.resolve({
        near: make(network),
        nearHost: "0.0.0.0",
        far,
        farHost: far.address,
        until: virtualTime(clock, macrotask),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    });
    for (const { run } of cases) {
      await run().catch((error) => {
        assert.ok(error instanceof ConformanceError);
        failed++;
      });
    }
    assert.ok(failed > 0, what);
  }
});

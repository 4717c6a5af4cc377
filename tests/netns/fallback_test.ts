/** A host whose router lets no UDP through reaches a peer by TCP, at once: it knows addresses of the peer, as a ticket has them. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { Internet } from "./internet.ts";
import { netnsProblem, type Program } from "./namespaces.ts";

const skip = "Deno" in globalThis ? netnsProblem() : "starts programs with Deno";
const file = new URL("fallback_peer.ts", import.meta.url);
/** UDP has 250 ms for itself; and far more than that is far below the ten seconds after which a silent address is given up. */
const SOON_MS = 1500;

interface Scene {
  readonly key: string;
  readonly addresses: readonly string[];
  /** Starts a peer behind a router that lets no UDP through. */
  dial(role: "dial" | "swarm", addresses: readonly string[]): Program;
  /** Packets of UDP that this router has dropped. */
  dropped(): number;
}

async function inScene(
  body: (scene: Scene) => Promise<void>,
  home: { readonly udp: boolean },
): Promise<void> {
  const internet = new Internet(1);
  try {
    internet.addHome("home", home);
    const [host] = internet.publicHosts;
    const { key, addresses } = await internet.start("public", file, "listen", "", host!).next("listening");
    await body({
      key,
      addresses,
      dial: (role, to) => internet.start("home", file, role, key, to.join(), `${host}:49737`),
      dropped: () => internet.droppedAt("home"),
    });
  } finally {
    await internet.close();
  }
}

const CASES = [
  { name: "IPv4", pattern: /:11\./ },
  { name: "IPv6", pattern: /:\[fd00:/ },
  { name: "both", pattern: /^(udx|tcp):/ },
] as const;

for (const role of ["dial", "swarm"] as const) {
  for (const { name, pattern } of CASES) {
    const who = role === "dial" ? "dialer" : "swarm with a DHT";
    test(
      `where the router blocks UDP, a ${who} that knows addresses of ${name} goes by TCP, soon`,
      async () => {
        await inScene(async ({ key, addresses, dial, dropped }) => {
          const to = addresses.filter((address) => pattern.test(address));
          const program = dial(role, to);
          const connected = await program.next("connected");
          assert.equal(connected.key, key);
          assert.match((await program.next("linked")).address, /^tcp:/);
          assert.ok(connected.ms < SOON_MS, `connected after ${connected.ms} ms`);
          assert.ok(dropped() > 0, "UDP was tried as well");
        }, { udp: false });
      },
      { skip },
    );
  }
}

test("where UDP works, it is preferred", async () => {
  await inScene(async ({ addresses, dial }) => {
    const program = dial("dial", addresses);
    assert.match((await program.next("linked")).address, /^udx:/);
  }, { udp: true });
}, { skip });

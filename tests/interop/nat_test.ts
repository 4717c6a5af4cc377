/**
 * Hosts behind routers of their own, in network namespaces with the kernel's NAT, meet by key: they know one node of the DHT, which
 * is the reference's as are all others, and punch. Each is ours or the reference's. The laboratory of `tests/natlab` has many more
 * kinds of routers.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "../harness.ts";
import { Internet } from "../netns/internet.ts";
import { netnsProblem, type Program } from "../netns/namespaces.ts";
import { skip as notInstalled } from "./udx_support.ts";

const skip = notInstalled ?? ("Deno" in globalThis ? netnsProblem() : "starts programs with Deno");
const OURS = new URL("../natlab/peer.ts", import.meta.url);
const THEIRS = fileURLToPath(new URL("reference/nat_peer.mjs", import.meta.url));
const NODES = 8;

type Side = "hypha" | "the reference";

function start(internet: Internet, home: string, side: Side, role: "server" | "client", key = ""): Program {
  const [host] = internet.publicHosts;
  if (side === "the reference") return internet.spawn(home, "node", THEIRS, role, host!, key);
  return internet.start(home, OURS, role, "--bootstrap", `${host}:49737`, "--key", key);
}

async function meet(server: Side, client: Side): Promise<void> {
  const internet = new Internet(NODES);
  try {
    internet.addHome("a");
    internet.addHome("b");
    await internet.spawn("public", "node", THEIRS, "bootstrap", internet.publicHosts.join()).next("ready");
    const { key } = await start(internet, "a", server, "server").next("ready");
    const result = await start(internet, "b", client, "client", key).next("result");
    assert.equal(result.connected, true, JSON.stringify(result));
    if (client === "hypha") assert.equal(result.kind, "punched");
    else assert.equal(result.remote, "11.101.0.1", "the router of the server");
  } finally {
    await internet.close();
  }
}

const PAIRS: readonly (readonly [Side, Side])[] = [
  ["hypha", "hypha"],
  ["hypha", "the reference"],
  ["the reference", "hypha"],
];
for (const [server, client] of PAIRS) {
  test(
    `behind two routers, ${client} connects to ${server} by a punch, with nodes of the reference`,
    async () => {
      await meet(server, client);
    },
    { skip },
  );
}

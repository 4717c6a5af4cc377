/**
 * Every collection that outlives a call is listed here, with who makes it grow and what stops it (D8). One that is missing fails a
 * test, so that nobody adds a map that a stranger can fill without saying how far.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "./harness.ts";

/** What stops a collection from growing. */
type Bound =
  /** Only this program adds to it: what it opens, asks for, listens with. */
  | "own"
  /** A constant or option of the sources that is its cap, and the test that tries to exceed it, relative to `tests/`. */
  | readonly [cap: string, test: string];

/** By file, then by field. */
const BOUNDS: Readonly<Record<string, Readonly<Record<string, Bound>>>> = {
  "core/log/atom.ts": { "#drafts": "own" },
  "core/log/log_branch.ts": { "#observers": "own" },
  "core/log/marks.ts": { "#changed": "own" }, // pages of what is read here
  "core/log/node_cache.ts": {
    "#young": ["MAX_NODES", "log/log_state_test.ts"],
    "#old": ["MAX_NODES", "log/log_state_test.ts"],
  },
  "core/log/pending_changes.ts": {
    "blocks": ["MAX_PENDING_BYTES", "log/log_state_test.ts"],
    "nodes": ["MAX_PENDING_BYTES", "log/log_state_test.ts"],
  },
  "core/log/fork_search.ts": { "#nodes": ["MAX_PROOF_NODES", "log/fork_search_test.ts"] },
  "core/replication/attachments.ts": { "#byMux": "own", "#timers": "own" }, // connections
  "core/replication/block_jobs.ts": { "#jobs": ["MAX_PUSHES", "replication/hostile_test.ts"] }, // beside what is wanted here
  "core/replication/extensions.ts": { "#registered": "own" },
  "core/replication/fork_jobs.ts": { // one for each peer: MAX_CHANNELS of its mux
    "refusals": ["MAX_CHANNELS", "replication/hostile_test.ts"],
    "#jobs": ["MAX_CHANNELS", "replication/hostile_test.ts"],
  },
  "core/replication/in_flight.ts": { "#inquiries": "own" },
  "core/replication/missing_levels.ts": { "#nodes": "own" },
  "core/replication/range_jobs.ts": { "cursors": "own", "#byFirst": "own" },
  "core/replication/replicator.ts": { "#opening": "own", "#changed": "own" }, // one for each connection
  "core/replication/seek_jobs.ts": { "refusals": "own", "#seeks": "own" },
  "core/replication/uploader.ts": { "#waiting": ["MAX_QUEUED_REQUESTS", "replication/hostile_test.ts"] },
  "core/replication/waiters.ts": { "#waiters": "own" },
  "core/replication/wants.ts": {
    "#regions": ["MAX_REMOTE_WANTS", "replication/hostile_test.ts"],
    "#small": ["MAX_LOCAL_SMALL_WANTS", "replication/hostile_test.ts"],
    "#whole": ["MAX_LOCAL_WANTS", "replication/hostile_test.ts"],
  },
  "core/stream/mux.ts": {
    "#callbacks": "own",
    "#remotes": ["MAX_CHANNELS", "stream/mux_test.ts"],
  },
  "core/stream/mux_pairings.ts": { // of openings that wait: MuxPending counts them
    "keys": "own",
    "#byKey": ["maxPendingOpens", "stream/mux_test.ts"],
  },
  "dht/accept_driver.ts": {
    "#attempts": ["MAX_ATTEMPTS", "dht/accept_machine_test.ts"],
    "#copies": ["MAX_PENDING_COPIES", "dht/connect_test.ts"],
  },
  "dht/accept_machine.ts": {
    "#byKey": ["MAX_ATTEMPTS", "dht/accept_machine_test.ts"],
    "#attempts": ["MAX_ATTEMPTS", "dht/accept_machine_test.ts"],
  },
  "dht/accept_punch.ts": { "#rounds": ["MAX_REQUESTS", "dht/punch_test.ts"] },
  "dht/attempt_limits.ts": {
    "#counts": ["MAX_ATTEMPTS", "dht/accept_machine_test.ts"],
    "#recent": ["MAX_COUNTED_HOSTS", "dht/flood_test.ts"],
  },
  "dht/connection_pool.ts": { "#open": "own", "#dialing": "own" },
  "dht/connector.ts": { "#dials": "own" },
  "dht/context.ts": { "services": "own" },
  "dht/dht_discovery.ts": { "#identities": "own" },
  "dht/dht_node.ts": { "services": "own" },
  "dht/dial_punch.ts": { "#holes": "own" },
  "dht/fair_cache.ts": {
    "#entries": ["maxEntries", "dht/records_test.ts"],
    "#subnets": ["maxEntries", "dht/records_test.ts"],
  },
  "dht/movable.ts": { "#connections": ["maxStreams", "transports/udx/endpoint_test.ts"] }, // each is a stream that is open
  "dht/path_keeper.ts": { "#keepers": "own" },
  "dht/plugins.ts": {
    "#callsByHost": ["MAX_PLUGIN_CALLS", "dht/plugins_test.ts"],
    "#plugins": "own",
  },
  "dht/punch/nat.ts": { "#witnesses": ["MAX_SAMPLES", "dht/nat_test.ts"] },
  "dht/punch/puncher.ts": { "#sockets": "own", "#heard": "own" },
  "dht/punch/socket_pool.ts": {
    "leases": ["MAX_ATTEMPTS", "dht/flood_test.ts"],
    "#counts": ["MAX_ATTEMPTS", "dht/flood_test.ts"],
    "#shares": ["MAX_HALF_OPEN_SOCKETS", "dht/socket_pool_test.ts"],
    "#routes": "own", // connections that are open, or lingering
    "#closing": "own",
  },
  "dht/punch/targets.ts": {
    "#hosts": ["MAX_HOSTS", "dht/punch_test.ts"],
    "#addresses": ["MAX_TARGETS", "dht/punch_test.ts"],
    "#verified": ["MAX_HOSTS", "dht/punch_test.ts"],
  },
  "dht/punch_driver.ts": { "#leases": "own" },
  "dht/records.ts": { "#pinned": "own" },
  "dht/relay_cache.ts": { "#peers": ["MAX_RELAY_CACHE", "dht/records_test.ts"] },
  "dht/relay_candidates.ts": {
    "#seen": ["MAX_CANDIDATES", "dht/connect_machine_test.ts"],
    "#asked": ["MAX_CANDIDATES", "dht/connect_machine_test.ts"],
  },
  "dht/relay_client.ts": { "#pairings": "own" },
  "dht/relay_quotas.ts": {
    "#accounts": ["MAX_IDLE_ACCOUNTS", "dht/relay_test.ts"],
    "#idle": ["MAX_IDLE_ACCOUNTS", "dht/relay_test.ts"],
    "#hosts": ["maxSessions", "dht/relay_test.ts"],
  },
  "dht/relay_server.ts": {
    "#sessions": ["maxSessions", "dht/relay_test.ts"],
    "#pending": ["maxPending", "dht/relay_test.ts"],
  },
  "dht/relay_session.ts": {
    "pending": ["maxPendingPerKey", "dht/relay_test.ts"],
    "links": ["maxLinksPerKey", "dht/relay_test.ts"],
  },
  "dht/router.ts": { "#servers": "own" },
  "dht/rpc/calls.ts": { "#pending": "own", "#queries": "own" },
  "dht/rpc/candidates.ts": {
    "#all": ["MAX_CANDIDATES", "dht/rpc/hostile_test.ts"],
    "#visitsBySubnet": ["MAX_CANDIDATES", "dht/rpc/hostile_test.ts"],
  },
  "dht/rpc/forwards.ts": { "#until": ["MAX_FORWARDS", "dht/rpc/table_test.ts"] },
  "dht/rpc/network_state.ts": { "#bootstrapSamples": "own" }, // as many as there are bootstrap nodes
  "dht/rpc/outbound.ts": { "#byTid": "own", "#destinations": "own" },
  "dht/rpc/query_machine.ts": { "#visits": "own" },
  "dht/rpc/responder.ts": {
    "#delayed": ["MAX_DELAYED_PINGS", "dht/rpc/hostile_test.ts"],
    "#delayedByHost": ["MAX_DELAYED_PINGS", "dht/rpc/hostile_test.ts"],
  },
  "dht/rpc/rpc_machine.ts": { "#queries": "own" },
  "dht/rpc/rtt_cache.ts": { "#rtts": ["MAX_RTTS", "dht/rpc/table_test.ts"] },
  "dht/rpc/source_credits.ts": { "#sources": ["MAX_SOURCES", "dht/rpc/table_test.ts"] },
  "dht/rpc/table_keeper.ts": {
    "#nodes": ["MAX_PER_SUBNET", "dht/rpc/table_test.ts"], // 20 in each bucket
    "#checks": ["MAX_CHECKS", "dht/rpc/hostile_test.ts"],
  },
  "dht/topic_records.ts": { "#topics": ["MAX_RECORDS", "dht/records_test.ts"] },
  "swarm/connection_feed.ts": { "#connections": ["maxPeers", "swarm/connections_test.ts"] },
  "swarm/connector.ts": {
    "#attempts": ["maxParallel", "swarm/connections_test.ts"],
    "#crossed": ["maxPeers", "swarm/connections_test.ts"], // their peers have connected
  },
  "swarm/engine.ts": { "#explicit": "own" },
  "swarm/flush_waiters.ts": { "#waiters": "own" },
  "swarm/listening.ts": { "#starting": "own", "#listeners": "own" },
  "swarm/member.ts": { "#members": ["maxPeers", "swarm/connections_test.ts"] },
  "swarm/peer_book.ts": {
    "#peers": ["MAX_KNOWN_PEERS", "swarm/machine_test.ts"],
    "#bans": ["MAX_BANS", "swarm/machine_test.ts"],
  },
  "swarm/reception.ts": {
    "#candidates": ["maxServerConnections", "swarm/connections_test.ts"],
    "#asking": ["maxServerConnections", "swarm/connections_test.ts"],
  },
  "swarm/swarm.ts": { "#feeds": "own", "#connections": ["maxPeers", "swarm/connections_test.ts"] },
  "swarm/topic.ts": { "#sessions": "own" },
  "swarm/topic_search.ts": { "#waiting": "own" },
  "swarm/topic_set.ts": { "#topics": "own", "#leaving": "own" },
  "transports/mdns/mdns_discovery.ts": { "#browsers": "own", "#holders": "own", "#networkListeners": "own" },
  "transports/mdns/mdns_machine.ts": {
    "holders": "own",
    "#own": "own",
    "#news": ["MAX_PEERS", "transports/mdns/mdns_machine_test.ts"],
  },
  "transports/mdns/mdns_sockets.ts": { "senders": "own", "#ears": "own" },
  "transports/mdns/message.ts": { "#names": "own" },
  "transports/mdns/peer_cache.ts": {
    "#peers": ["MAX_PEERS", "transports/mdns/mdns_machine_test.ts"],
    "#senders": ["MAX_PEERS", "transports/mdns/mdns_machine_test.ts"],
  },
  "transports/tcp/tcp_transport.ts": {
    "#sockets": ["maxLinks", "transports/tcp/tcp_transport_test.ts"],
    "#listeners": "own",
  },
  "transports/udp/source_cache.ts": { "#sources": ["MAX_SOURCES", "transports/udp/source_cache_test.ts"] },
  "transports/udx/endpoint.ts": {
    "#sockets": "own",
    "#retired": "own",
    "#streams": ["maxStreams", "transports/udx/endpoint_test.ts"],
  },
  "transports/udx/listening.ts": {
    "#halfOpen": ["MAX_HALF_OPEN", "transports/udx/udx_transport_test.ts"],
    "#perHost": ["MAX_HALF_OPEN_PER_HOST", "transports/udx/udx_transport_test.ts"],
  },
  "transports/udx/udx_transport.ts": { "#dialSockets": "own", "#dialings": "own" },
};

/** Layers that bytes of strangers reach; `memory/` is for tests. */
const FOLDERS = [
  "core/log/",
  "core/replication/",
  "core/stream/",
  "dht/",
  "swarm/",
  "transports/mdns/",
  "transports/tcp/",
  "transports/udp/",
  "transports/udx/",
];
/** A field of a class or of an object of its own that holds a map or a set. */
const FIELD = /^ {2}(?:readonly )?(#?\w+)(?:: | = new )(?:Map|Set)</gm;

const root = new URL("../", import.meta.url);
const skip = existsSync(new URL("deno.json", root)) ? undefined : "needs the source tree";

/** The collections that `text` declares. */
function collectionsOf(text: string): string[] {
  return [...text.matchAll(FIELD)].map(([, name]) => name!);
}

function sources(): [path: string, text: string][] {
  return FOLDERS.flatMap((folder) =>
    (readdirSync(new URL(folder, root), { recursive: true }) as string[])
      .filter((name) => name.endsWith(".ts"))
      .map((name): [string, string] => [folder + name, readFileSync(new URL(folder + name, root), "utf8")])
  );
}

test("D8: every collection that outlives a call is listed with what bounds it, and nothing else is", () => {
  const found = sources().flatMap(([path, text]) => collectionsOf(text).map((name) => `${path} ${name}`));
  const listed = Object.entries(BOUNDS).flatMap(([path, fields]) =>
    Object.keys(fields).map((name) => `${path} ${name}`)
  );
  assert.deepEqual(
    found.filter((one) => !listed.includes(one)),
    [],
    "not listed: say in BOUNDS what bounds it",
  );
  assert.deepEqual(listed.filter((one) => !found.includes(one)), [], "gone: take it out of BOUNDS");
}, { skip });

test("D8: the caps in the list are in the sources, and the tests that try to exceed them exist", () => {
  const all = sources().map(([, text]) => text).join("\n");
  for (const [path, fields] of Object.entries(BOUNDS)) {
    for (const [name, bound] of Object.entries(fields)) {
      if (bound === "own") continue;
      const [cap, file] = bound;
      const isDeclared = new RegExp(`(?:const ${cap}\\b|readonly ${cap}\\??:)`).test(all);
      assert.ok(isDeclared, `${path} ${name}: there is no ${cap}`);
      assert.ok(existsSync(new URL(file, import.meta.url)), `${path} ${name}: there is no tests/${file}`);
    }
  }
}, { skip });

test("D8: the list sees maps and sets of all forms, and nothing that lives for one call only", () => {
  const text = [
    "class A {",
    "  readonly #a = new Map<string, number>();",
    "  #b = new Set<string>();",
    "  readonly c: Map<string, B> = new Map();",
    "  readonly d: Set<C>;",
    "  readonly e: ReadonlyMap<string, number>;",
    "  readonly #f = 3;",
    "  g(): void {",
    "    const h = new Map<string, number>();",
  ].join("\n");
  assert.deepEqual(collectionsOf(text), ["#a", "#b", "c", "d"]);
});

/** Two peers in a simulated network of DHT nodes, each behind a router of its own or on the public internet. */
import assert from "node:assert/strict";
import type { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import { RelayServer, type RelayServerOptions } from "../../dht/relay_server.ts";
import type { DhtServer, DhtServerOptions } from "../../dht/server.ts";
import type { ConnectOptions } from "../../dht/connector.ts";
import type {
  LinkConditions,
  RouterType,
  SimulatedHost,
  SimulatedRouter,
} from "../../transports/memory/mod.ts";
import { type DhtNodeOptions, DhtWorld } from "./dht_world.ts";

/** A network of `nodes` public nodes. */
export class ConnectWorld extends DhtWorld {
  /** Connections that servers handed out, in order. */
  readonly accepted: DhtConnection[] = [];

  /** A peer behind a router of a type, or behind a given one. */
  async peer(
    type: RouterType | SimulatedRouter,
    options: DhtNodeOptions = {},
    wan?: LinkConditions,
  ): Promise<Dht> {
    const link = wan === undefined ? {} : { link: wan };
    const behind = typeof type === "string" ? this.network.router({ type, ...link }) : type;
    return await this.openDht({ hostOptions: { behind }, ...options });
  }

  /** A peer on the public internet that knows that others reach it. */
  async openPeer(options: DhtNodeOptions = {}): Promise<Dht> {
    return await this.openDht({ firewalled: false, ...options });
  }

  /** A server that listens; what it accepts is in {@linkcode accepted}, and echoed. */
  async listen(dht: Dht, options: DhtServerOptions = {}): Promise<DhtServer> {
    const server = dht.createServer(options);
    await this.go(this.serve(server));
    return server;
  }

  /** Makes a server listen, keep what it accepts in {@linkcode accepted}, and echo. */
  async serve(server: DhtServer): Promise<void> {
    server.on("connection", ({ detail: { connection } }) => {
      this.accepted.push(connection);
      void echo(connection);
    });
    await server.listen();
  }

  /** Dials, echoes, and says how long the dialing took. */
  async connect(
    client: Dht,
    to: Dht | Uint8Array,
    options: ConnectOptions = {},
  ): Promise<{ connection: DhtConnection; ms: number }> {
    const start = this.clock.now();
    let ms = 0;
    const key = to instanceof Uint8Array ? to : to.keyPair.publicKey;
    const connection = await this.go(
      client.connect(key, options).then((opened) => {
        ms = this.clock.now() - start;
        return opened;
      }),
    );
    await this.go(pingPong(connection));
    return { connection, ms };
  }

  /** How a dial fails, and after how long. */
  async failure(
    client: Dht,
    to: Uint8Array,
    options: ConnectOptions = {},
  ): Promise<{ error: Error & { code?: string }; ms: number }> {
    const start = this.clock.now();
    let ms = 0;
    const error = await this.go(
      client.connect(to, options).then(() => assert.fail("it connected"), (reason) => {
        ms = this.clock.now() - start;
        return reason;
      }),
    );
    return { error, ms };
  }
}

/** Sends back whatever comes. */
export async function echo(connection: DhtConnection): Promise<void> {
  try {
    for await (const chunk of connection) await connection.write(chunk);
    await connection.close();
  } catch {
    // The other side broke it off: tests that care look at `closed`.
  }
}

/** Writes a message and reads it back. */
export async function pingPong(connection: DhtConnection): Promise<void> {
  const message = new TextEncoder().encode("hello over there");
  await connection.write(message);
  for await (const chunk of connection) {
    assert.deepEqual(chunk, message);
    break;
  }
}

/** The host of a node. */
export function hostOf(world: ConnectWorld, dht: Dht): SimulatedHost {
  return world.dhtHosts.get(dht)!;
}

/** A blind relay on a node that others reach. */
export async function relayOn(
  world: ConnectWorld,
  options: RelayServerOptions = {},
): Promise<{ readonly relay: RelayServer; readonly publicKey: Uint8Array }> {
  const dht = await world.openPeer();
  const relay = new RelayServer(world.clock, { createStream: dht.createRawStream.bind(dht) }, options);
  const server = dht.createServer();
  server.on("connection", ({ detail: { connection } }) => {
    const { closed } = relay.accept(connection);
    void closed.then(() => connection.close());
  });
  await world.go(server.listen());
  return { relay, publicKey: server.publicKey! };
}

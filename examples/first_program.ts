/**
 * Greets everybody who knows the same words, over the public DHT. The README shows it.
 */
import { type Connection, Dht, loadSystemRuntime, Swarm } from "@hypha/hypha";

await using dht = await Dht.create();
await using swarm = new Swarm(await loadSystemRuntime(), { dht });
const words = new TextEncoder().encode("blue moon");
swarm.join(new Uint8Array(await crypto.subtle.digest("SHA-256", words)));

async function greet(connection: Connection): Promise<void> {
  try {
    await connection.write(new TextEncoder().encode("hello"));
    for await (const chunk of connection) console.log(new TextDecoder().decode(chunk));
  } catch (error) {
    console.error(`${error}`); // it broke off, or a second one to the same peer took its place
  }
}

for await (const connection of swarm) void greet(connection);

/**
 * Notes that others follow live. `deno run -A examples/shared_notes.ts notes.sqlite` prints a key and appends what is typed; with
 * that key behind a file of its own, on another machine, the same program prints all notes, and each new one as it comes.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { Corestore, Dht, loadSystemRuntime, openSqliteStore, Swarm } from "@hypha/hypha";

const [file = "notes.sqlite", key] = process.argv.slice(2);
await using store = await Corestore.open(await openSqliteStore(file));
const which = key === undefined ? { name: "notes" } : { key };
const notes = await store.get<string>({ ...which, valueEncoding: "utf-8" });

// BOOTSTRAP=host:port leads into a network of one's own, as `hypha bootstrap` starts one.
const { BOOTSTRAP } = process.env;
await using dht = await Dht.create(BOOTSTRAP === undefined ? {} : { bootstrap: [BOOTSTRAP] });
await using swarm = new Swarm(await loadSystemRuntime(), { dht, channels: true });
swarm.on("connection", ({ detail: { connection } }) => store.replicate(connection));
swarm.join(notes.discoveryKey);

if (notes.writable) {
  console.log(notes.id);
  for await (const line of createInterface({ input: process.stdin })) await notes.append(line);
} else {
  for await (const note of notes.createReadStream({ live: true })) console.log(note);
}

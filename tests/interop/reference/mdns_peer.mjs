/**
 * Multicast DNS by other hands (multicast-dns and its dns-packet), driven by JSON lines: commands come in on stdin, events go out
 * on stdout.
 *
 *     node mdns_peer.mjs '{"port":53540,"interface":"127.0.0.1"}'
 */
import { createInterface } from "node:readline";
import multicastDns from "multicast-dns";

const settings = JSON.parse(process.argv[2]);
const tell = (event, details = {}) => console.log(JSON.stringify({ event, ...details }));
const mdns = multicastDns({ ...settings, bind: "0.0.0.0", loopback: true, reuseAddr: true });
const plain = ({ name, type, ttl, flush, data }) => ({
  name,
  type,
  ttl,
  flush,
  data: type === "TXT" ? data.map(String) : data,
});

mdns.on("ready", () => tell("ready"));
mdns.on("response", ({ answers }, { port }) => tell("response", { port, answers: answers.map(plain) }));
mdns.on(
  "query",
  ({ questions, answers }) =>
    tell("query", {
      questions: questions.map(({ name, type }) => ({ name, type })),
      answers: answers.map(plain),
    }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const { command, packet } = JSON.parse(line);
  if (command === "query") mdns.query(packet);
  if (command === "respond") mdns.respond(packet);
}
mdns.destroy(() => process.exit(0));

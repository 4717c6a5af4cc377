import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatTicket, parseTicket } from "../../cli/ticket.ts";
import { formatKey, toHex } from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { skip } from "./hypha_process.ts";

const publicKey = new Uint8Array(32).map((_, i) => i);

test("a ticket keeps key and addresses, of known and of unknown schemes", async () => {
  const crypto = await loadCryptoProvider();
  const addresses = [
    "udx:127.0.0.1:4000",
    "udx:[2001:db8::1]:1",
    "tcp:127.0.0.1:4000",
    "tcp:10.0.0.1:65535",
    "tor:abc.onion",
    "udx:no.ip:1",
  ];
  const ticket = formatTicket(crypto, { publicKey, addresses });
  assert.match(ticket, /^[ybndrfg8ejkmcpqxot1uwisza345h769]+$/);
  const parsed = parseTicket(crypto, ` ${ticket}\n`);
  assert.deepEqual(parsed.publicKey, publicKey);
  assert.deepEqual(parsed.addresses, addresses);
}, { skip });

test("a ticket with one IPv4 address is short, and a second scheme makes it no longer", async () => {
  const crypto = await loadCryptoProvider();
  const ticket = formatTicket(crypto, { publicKey, addresses: ["udx:192.168.1.2:50000"] });
  const both = formatTicket(crypto, {
    publicKey,
    addresses: ["udx:192.168.1.2:50000", "tcp:192.168.1.2:50000"],
  });
  assert.equal(both.length, ticket.length);
  assert.ok(ticket.length <= 80, `${ticket.length} characters`);
}, { skip });

test("a bare key is a ticket without addresses", async () => {
  const crypto = await loadCryptoProvider();
  for (const text of [formatKey(publicKey), toHex(publicKey)]) {
    assert.deepEqual(parseTicket(crypto, text), { publicKey, addresses: [] });
  }
}, { skip });

test("a wrong character of a ticket is noticed, and a missing end", async () => {
  const crypto = await loadCryptoProvider();
  const ticket = formatTicket(crypto, { publicKey, addresses: ["udx:192.168.1.2:50000"] });
  for (let i = 0; i < ticket.length; i++) {
    const wrong = ticket[i] === "b" ? "d" : "b";
    assert.throws(() => parseTicket(crypto, ticket.slice(0, i) + wrong + ticket.slice(i + 1)), TypeError);
    // Cut to the length of a bare key it can only be taken for one.
    if (i !== 52 && i !== 64) assert.throws(() => parseTicket(crypto, ticket.slice(0, i)), TypeError);
  }
}, { skip });

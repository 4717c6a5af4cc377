/** SocketAddress: texts, bits, predicates, keys. */
import assert from "node:assert/strict";
import { decode, encode, ipAddress, ipv6Address, SocketAddress } from "../../encoding/mod.ts";
import { test } from "../harness.ts";

const of = SocketAddress.of;

test("address: a v4 address is its 32 bits", () => {
  const address = of("192.168.1.255", 49737);
  assert.deepEqual([address.family, address.port, address.bits], [4, 49737, 0xc0a801ff]);
  assert.equal(address.toString(), "192.168.1.255:49737");
  assert.equal(SocketAddress.v4(0xc0a801ff, 49737).host, "192.168.1.255");
  assert.equal(SocketAddress.v4(0xc0a801ff | 0, 1).bits, 0xc0a801ff);
  assert.deepEqual(address.bytes, new Uint8Array([192, 168, 1, 255]));
});

test("address: v6 texts come back in the form of RFC 5952", () => {
  const canonical: [string, string][] = [
    ["::", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1::", "1::"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
    ["fe80::1%eth0", "fe80::1%eth0"],
  ];
  for (const [text, expected] of canonical) {
    const address = of(text, 9);
    assert.deepEqual([address.family, address.host], [6, expected]);
    assert.equal(address.toString(), `[${expected}]:9`);
    assert(SocketAddress.parse(address.toString()).equals(address));
  }
});

test("address: a mapped v4 address is a v4 address", () => {
  for (const text of ["::ffff:1.2.3.4", "::FFFF:102:304", "0:0:0:0:0:ffff:1.2.3.4"]) {
    assert(of(text, 5).equals(of("1.2.3.4", 5)), text);
  }
  const bytes = encode(ipv6Address, of("1.2.3.4", 5));
  assert.equal(decode(ipv6Address, bytes).toString(), "1.2.3.4:5");
  assert.equal(decode(ipAddress, new Uint8Array([6, ...bytes])).family, 4);
});

test("address: what is no address is a TypeError, what is no port a RangeError", () => {
  const hosts = [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1..2.3",
    "1.2.3.4 ",
    "0x1.2.3.4",
    "+1.2.3.4",
  ];
  hosts.push(
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "[::1]",
    "::1%",
  );
  hosts.push("1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "1.2.3.4%eth0");
  for (const host of hosts) assert.throws(() => of(host, 1), TypeError, host);
  assert.throws(() => of(undefined as unknown as string, 1), TypeError);
  for (const port of [-1, 65536, 1.5, NaN, "80" as unknown as number]) {
    assert.throws(() => of("1.2.3.4", port), RangeError);
    assert.throws(() => of("::1", port), RangeError);
    assert.throws(() => SocketAddress.v4(1, port), RangeError);
  }
  for (const bits of [2 ** 32, -(2 ** 31) - 1, 0.5, NaN]) {
    assert.throws(() => SocketAddress.v4(bits, 1), RangeError);
  }
  assert.throws(() => SocketAddress.v6(new Uint8Array(4), 1), RangeError);
  assert.throws(() => of("::1", 1).bits, TypeError);
});

test("address: parse takes what toString gives and nothing else", () => {
  for (const text of ["1.2.3.4:0", "255.255.255.255:65535", "[::]:1", "[fe80::1%2]:80"]) {
    assert.equal(SocketAddress.parse(text).toString(), text);
  }
  for (
    const text of ["", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4: 1", "1.2.3.4:1e3"]
  ) {
    assert.throws(() => SocketAddress.parse(text), TypeError, text);
  }
  for (const text of ["::1:80", "[1.2.3.4]:80", "[::1]", "[::1:80", "::1]:80", "example.org:80"]) {
    assert.throws(() => SocketAddress.parse(text), TypeError, text);
  }
});

test("address: keys are equal exactly for equal addresses", () => {
  const texts = [
    "1.2.3.4:5",
    "1.2.3.5:4",
    "255.255.255.255:65535",
    "0.0.0.0:0",
    "[::1]:5",
    "[::1]:6",
    "[::1%a]:5",
    "[::2]:5",
  ];
  const addresses = texts.map((text) => SocketAddress.parse(text));
  assert.equal(new Set(addresses.map(({ key }) => key)).size, texts.length);
  assert.equal(addresses[0]!.key, 0x01020304 * 65536 + 5);
  for (const [i, a] of addresses.entries()) {
    for (const [j, b] of addresses.entries()) assert.equal(a.equals(b), i === j, `${a} and ${b}`);
    assert(a.equals(SocketAddress.parse(texts[i]!)));
    assert.equal(a.key, SocketAddress.parse(texts[i]!).key);
  }
});

test("address: v6 networks are private or reserved like their v4 counterparts", () => {
  const networks: [string, boolean, boolean, boolean][] = [
    ["::1", true, true, false],
    ["fe80::1", false, true, false],
    ["febf::1", false, true, false],
    ["fec0::1", false, false, false],
    ["fc00::1", false, true, false],
    ["fdff::1", false, true, false],
    ["::", false, false, true],
    ["::2", false, false, true],
    ["100::1", false, false, true],
    ["100:0:0:1::", false, false, false],
    ["2001:10::", false, false, true],
    ["2001:2f:ffff::", false, false, true],
    ["2001:30::", false, false, false],
    ["2001:db8::1", false, false, true],
    ["ff02::fb", false, false, true],
    ["2606:4700::1111", false, false, false],
  ];
  for (const [host, isLoopback, isPrivate, isReserved] of networks) {
    const address = of(host, 1);
    assert.deepEqual([host, address.isLoopback, address.isPrivate, address.isReserved], [
      host,
      isLoopback,
      isPrivate,
      isReserved,
    ]);
  }
  assert.deepEqual([of("127.8.9.1", 1).isLoopback, of("128.0.0.1", 1).isLoopback], [true, false]);
});

test("address: changing the bytes that came in or went out changes nothing", () => {
  const bytes = new Uint8Array(16).fill(1);
  const address = SocketAddress.v6(bytes, 1);
  bytes[0] = 9;
  address.bytes[1] = 9;
  assert.equal(address.host, "101:101:101:101:101:101:101:101");
});

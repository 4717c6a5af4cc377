/**
 * How a peer looks in DNS: its key is the name of an instance of hypha's service, its addresses stand in the text record.
 * The layout is in `docs/spec/mdns.md`.
 */
import { SocketAddress } from "../../encoding/address.ts";
import { fromZbase32, toZbase32 } from "../../encoding/text.ts";
import {
  DOMAIN,
  KEY_BYTES,
  MAX_ADDRESS_BYTES,
  MAX_ADDRESSES,
  MAX_INTERFACES,
  SERVICE,
  TTL_S,
  VERSION,
} from "./constants.ts";
import type { PtrRecord, ResourceRecord } from "./message.ts";

/** One interface, and one version of IP on it. */
export interface Place {
  /** The version of IP. */
  readonly family: 4 | 6;
  /** All addresses of the interface; none if they are not known. */
  readonly hosts: readonly string[];
}

/** Digits of a key in z-base-32. */
const KEY_DIGITS = Math.ceil(KEY_BYTES * 8 / 5);
/** Stands for the host that a message comes from. */
const SENDER = "*";
/** A scheme and visible characters. */
const ADDRESS = /^[a-z][a-z0-9+.-]*:[!-~]+$/;
const SENDER_ADDRESS = /^([a-z][a-z0-9+.-]*):\*:(\d{1,5})$/;

/** The name of a peer's instance; `id` is its key in z-base-32. */
export function instanceName(id: string): string {
  return `${id}.${SERVICE}`;
}

/** The name of a peer's host. */
export function hostName(id: string): string {
  return `${id}.${DOMAIN}`;
}

/** The key in z-base-32 of the peer whose instance is called `name`; undefined if it is no such name. */
export function parseInstanceName(name: string): string | undefined {
  if (name.length !== KEY_DIGITS + 1 + SERVICE.length || !name.endsWith(`.${SERVICE}`)) return undefined;
  const id = name.slice(0, KEY_DIGITS);
  // The last digit has spare bits: a key has one name only.
  return parseId(id) === undefined ? undefined : id;
}

/** The key that `id` is in z-base-32, if it is one. */
export function parseId(id: string): Uint8Array | undefined {
  try {
    const key = fromZbase32(id);
    return key.length === KEY_BYTES && toZbase32(key) === id ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The record by which others find the peer. */
export function pointerTo(id: string, ttl: number): PtrRecord {
  return { type: "PTR", name: SERVICE, ttl, target: instanceName(id) };
}

/** All records of a peer with `addresses`, which have been through {@linkcode addressesAt}. */
export function peerRecords(id: string, addresses: readonly string[], place: Place): ResourceRecord[] {
  const [name, host] = [instanceName(id), hostName(id)];
  const strings = [VERSION, ...addresses.map((address, i) => `a${i}=${address}`)];
  const ip = place.hosts.slice(0, MAX_ADDRESSES).map((text): ResourceRecord => {
    const { family, bytes } = SocketAddress.of(text, 0);
    return { type: family === 4 ? "A" : "AAAA", name: host, ttl: TTL_S, address: bytes };
  });
  return [
    pointerTo(id, TTL_S),
    { type: "TXT", name, ttl: TTL_S, strings },
    { type: "SRV", name, ttl: TTL_S, port: firstPort(addresses), target: host },
    ...ip,
  ];
}

function firstPort(addresses: readonly string[]): number {
  for (const address of addresses) {
    const port = Number(/:(\d{1,5})$/.exec(address)?.[1] ?? 0);
    if (port > 0 && port < 65536) return port;
  }
  return 0;
}

/**
 * What of a peer's `addresses` is told at `place`. Addresses that this host has on another interface are not: there they lead
 * nowhere, and they are nobody's business. Everywhere-addresses and those of loopback become the sender's.
 */
export function addressesAt(
  place: Place,
  addresses: readonly string[],
  localHosts: ReadonlySet<string>,
): string[] {
  const told = new Set<string>();
  for (const address of addresses) {
    const text = addressAt(place, address, localHosts);
    if (text !== undefined && isTellable(text) && told.size < MAX_ADDRESSES) told.add(text);
  }
  return [...told];
}

function addressAt(place: Place, address: string, localHosts: ReadonlySet<string>): string | undefined {
  const colon = address.indexOf(":");
  const parsed = parseSocketAddress(address.slice(colon + 1));
  if (parsed === undefined) return address;
  const { host, family, port, isLoopback } = parsed;
  if (host === "::" || ((host === "0.0.0.0" || isLoopback) && family === place.family)) {
    return `${address.slice(0, colon)}:${SENDER}:${port}`;
  }
  const isElsewhere = host === "0.0.0.0" || isLoopback ||
    (localHosts.has(host) && !place.hosts.includes(host));
  return isElsewhere ? undefined : address;
}

function parseSocketAddress(text: string): SocketAddress | undefined {
  try {
    return SocketAddress.parse(text);
  } catch {
    return undefined;
  }
}

function isTellable(address: string): boolean {
  return address.length <= MAX_ADDRESS_BYTES && ADDRESS.test(address);
}

/** The addresses in the strings of a text record that came from `sender`; undefined if it is of another version. */
export function parseAddresses(strings: readonly string[], sender: SocketAddress): string[] | undefined {
  if (strings[0] !== VERSION) return undefined;
  const addresses = new Set<string>();
  for (const text of strings.slice(1, 1 + MAX_ADDRESSES)) {
    const address = parseAddress(/^a\d=(.*)$/s.exec(text)?.[1] ?? "", sender);
    if (address !== undefined) addresses.add(address);
  }
  return [...addresses];
}

function parseAddress(text: string, sender: SocketAddress): string | undefined {
  if (!isTellable(text)) return undefined;
  const [, scheme, digits] = SENDER_ADDRESS.exec(text) ?? [];
  if (scheme === undefined) return text;
  const port = Number(digits);
  // Some hosts do not say on which interface a link-local sender is: it cannot be dialed then.
  const isUnreachable = /^fe[89ab]/i.test(sender.host) && !sender.host.includes("%");
  if (port === 0 || port > 65535 || isUnreachable) return undefined;
  return `${scheme}:${SocketAddress.of(sender.host, port)}`;
}

/** The interfaces of `hosts` by name: what makes the {@linkcode Place}s. */
export interface InterfaceHosts {
  readonly name: string;
  readonly hosts: readonly string[];
}

/** Groups addresses by interface. Loopback only counts if there is nothing else. */
export function groupInterfaces(
  interfaces: readonly { readonly name: string; readonly host: string; readonly isInternal: boolean }[],
): InterfaceHosts[] {
  const outside = interfaces.filter(({ isInternal }) => !isInternal);
  const byName = new Map<string, string[]>();
  for (const { name, host } of outside.length > 0 ? outside : interfaces) {
    const hosts = byName.get(name);
    if (hosts !== undefined) hosts.push(host);
    else if (byName.size < MAX_INTERFACES) byName.set(name, [host]);
  }
  return [...byName].map(([name, hosts]) => ({ name, hosts }));
}

/** The identity of a peer in DNS, from its key. @throws {RangeError} unless it has 32 bytes. */
export function idOf(publicKey: Uint8Array): string {
  if (publicKey.length !== KEY_BYTES) {
    throw new RangeError(`A public key must be ${KEY_BYTES} bytes, not ${publicKey.length}`);
  }
  return toZbase32(publicKey);
}

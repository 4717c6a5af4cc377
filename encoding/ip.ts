/** The text forms of IP addresses. IPv4 is parsed by hand, as it is parsed for each datagram that comes in. */

/** The 32 bits of a dotted IPv4 address, most significant first; -1 if `text` is none. Leading zeros are refused. */
export function parseIpv4(text: string): number {
  let bits = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return -1;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return -1;
    } else if (digit === -2 && octet >= 0 && dots < 3) {
      bits = bits << 8 | octet;
      octet = -1;
      dots++;
    } else {
      return -1;
    }
  }
  return dots === 3 && octet >= 0 ? (bits << 8 | octet) >>> 0 : -1;
}

/** The dotted form of 32 address bits. */
export function formatIpv4(bits: number): string {
  return `${bits >>> 24}.${bits >>> 16 & 0xff}.${bits >>> 8 & 0xff}.${bits & 0xff}`;
}

/** The 16 bytes of an IPv6 address without a zone, in any form of RFC 4291 section 2.2; undefined if `text` is none. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const [before, after, more] = text.split("::");
  const head = groupsOf(before!, after === undefined);
  const tail = groupsOf(after ?? "", true);
  if (head === undefined || tail === undefined || more !== undefined) return undefined;
  const count = head.length + tail.length;
  if (after === undefined ? count !== 8 : count > 7) return undefined;

  const bytes = new Uint8Array(16);
  head.forEach((group, i) => writeGroup(bytes, i, group));
  tail.forEach((group, i) => writeGroup(bytes, 8 - tail.length + i, group));
  return bytes;
}

/** Sixteen-bit groups between colons; the last may be a dotted IPv4 address, which makes two. */
function groupsOf(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const bits = isLast && i === parts.length - 1 ? parseIpv4(part) : -1;
    if (bits < 0) return undefined;
    groups.push(bits >>> 16, bits & 0xffff);
  }
  return groups;
}

function writeGroup(bytes: Uint8Array, index: number, group: number): void {
  bytes[2 * index] = group >>> 8;
  bytes[2 * index + 1] = group;
}

/** The canonical form of 16 address bytes: RFC 5952, so the first of the longest runs of zeros is written `::`. */
export function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(bytes[i]! << 8 | bytes[i + 1]!);
  const [start, length] = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
    start = Math.max(start, end - 1);
  }
  return best;
}

/** Whether 16 address bytes are an IPv4 address in IPv6 clothes, `::ffff:a.b.c.d`. */
export function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) {
    if (bytes[i] !== 0) return false;
  }
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

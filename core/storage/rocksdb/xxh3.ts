/**
 * The lower half of XXH3 (64 bits, without seed), with which RocksDB guards the blocks of its tables.
 */

const SECRET: Uint8Array = Uint8Array.from(
  (
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
  ).match(/../g)!,
  (pair) => parseInt(pair, 16),
);
const SECRET_VIEW: DataView = new DataView(SECRET.buffer);

const PRIME_32_1 = 0x9e3779b1;
const PRIME_64_1 = 0x9e3779b185ebca87n;
const PRIME_64_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_64_3 = 0x165667b19e3779f9n;
const PRIME_64_4 = 0x85ebca77c2b2ae63n;
const PRIME_64_5 = 0x27d4eb2f165667c5n;
const PRIME_MX_1 = 0x165667919e3779f9n;
const PRIME_MX_2 = 0x9fb21c651e98df25n;

/** The accumulators before the first stripe: eight of 64 bits, each as its lower and its upper half. */
const START: readonly number[] = [
  0xc2b2ae3dn,
  PRIME_64_1,
  PRIME_64_2,
  PRIME_64_3,
  PRIME_64_4,
  0x85ebca77n,
  PRIME_64_5,
  BigInt(PRIME_32_1),
].flatMap((value) => [Number(value & 0xffffffffn), Number(value >> 32n)]);

/** Longest input that is not cut into stripes, in bytes. */
const MAX_SHORT = 240;
const STRIPE_BYTES = 64;
const STRIPES_PER_BLOCK = 16;

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
const secret = (at: number): bigint => SECRET_VIEW.getBigUint64(at, true);

function multiplyFold(a: bigint, b: bigint): bigint {
  const product = a * b;
  return wrap(product) ^ (product >> 64n);
}

function avalanche(hash: bigint): bigint {
  hash = wrap((hash ^ (hash >> 37n)) * PRIME_MX_1);
  return hash ^ (hash >> 32n);
}

function avalanche64(hash: bigint): bigint {
  hash = wrap((hash ^ (hash >> 33n)) * PRIME_64_2);
  hash = wrap((hash ^ (hash >> 29n)) * PRIME_64_3);
  return hash ^ (hash >> 32n);
}

function rotate(value: bigint, bits: bigint): bigint {
  return wrap(value << bits) | (value >> (64n - bits));
}

function swapBytes(value: bigint): bigint {
  let swapped = 0n;
  for (let i = 0; i < 8; i++, value >>= 8n) swapped = (swapped << 8n) | (value & 0xffn);
  return swapped;
}

/** The lower 32 bits of XXH3 of `bytes`. */
export function xxh3Low(bytes: Uint8Array): number {
  const hash = bytes.length > MAX_SHORT ? hashLong(bytes) : hashShort(bytes);
  return Number(hash & 0xffffffffn);
}

function hashShort(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length <= 16) return hashUpTo16(view);
  const { byteLength: length } = view;
  const mix = (at: number, secretAt: number) =>
    multiplyFold(
      view.getBigUint64(at, true) ^ secret(secretAt),
      view.getBigUint64(at + 8, true) ^ secret(secretAt + 8),
    );
  let sum = BigInt(length) * PRIME_64_1;
  if (length <= 128) {
    for (let i = Math.floor((length - 1) / 32); i >= 0; i--) {
      sum += mix(16 * i, 32 * i) + mix(length - 16 * (i + 1), 32 * i + 16);
    }
    return avalanche(wrap(sum));
  }
  for (let i = 0; i < 8; i++) sum += mix(16 * i, 16 * i);
  sum = avalanche(wrap(sum));
  for (let i = 8; i < Math.floor(length / 16); i++) sum += mix(16 * i, 16 * (i - 8) + 3);
  return avalanche(wrap(sum + mix(length - 16, 136 - 17)));
}

function hashUpTo16(view: DataView): bigint {
  const { byteLength: length } = view;
  if (length > 8) {
    const low = view.getBigUint64(0, true) ^ secret(24) ^ secret(32);
    const high = view.getBigUint64(length - 8, true) ^ secret(40) ^ secret(48);
    return avalanche(wrap(BigInt(length) + swapBytes(low) + high + multiplyFold(low, high)));
  }
  if (length >= 4) {
    const whole = BigInt(view.getUint32(length - 4, true)) + (BigInt(view.getUint32(0, true)) << 32n);
    let hash = whole ^ secret(8) ^ secret(16);
    hash ^= rotate(hash, 49n) ^ rotate(hash, 24n);
    hash = wrap(hash * PRIME_MX_2);
    hash ^= (hash >> 35n) + BigInt(length);
    hash = wrap(hash * PRIME_MX_2);
    return hash ^ (hash >> 28n);
  }
  if (length === 0) return avalanche64(secret(56) ^ secret(64));
  const [first, middle, last] = [view.getUint8(0), view.getUint8(length >> 1), view.getUint8(length - 1)];
  const whole = BigInt(((first << 16) | (middle << 24) | last | (length << 8)) >>> 0);
  return avalanche64(whole ^ BigInt((SECRET_VIEW.getUint32(0, true) ^ SECRET_VIEW.getUint32(4, true)) >>> 0));
}

function hashLong(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { byteLength: length } = view;
  const sums = Uint32Array.from(START);
  const stripes = Math.floor((length - 1) / STRIPE_BYTES);
  for (let i = 0; i < stripes; i++) {
    const place = i % STRIPES_PER_BLOCK;
    accumulate(sums, view, i * STRIPE_BYTES, 8 * place);
    if (place === STRIPES_PER_BLOCK - 1) scramble(sums);
  }
  accumulate(sums, view, length - STRIPE_BYTES, SECRET.length - STRIPE_BYTES - 7);
  let hash = BigInt(length) * PRIME_64_1;
  const sum = (i: number) => (BigInt(sums[2 * i + 1]!) << 32n) | BigInt(sums[2 * i]!);
  for (let i = 0; i < 4; i++) {
    hash += multiplyFold(sum(2 * i) ^ secret(11 + 16 * i), sum(2 * i + 1) ^ secret(19 + 16 * i));
  }
  return avalanche(wrap(hash));
}

/** Adds a stripe of 64 bytes to the accumulators: all in halves of 32 bits, since numbers are exact no further. */
function accumulate(sums: Uint32Array, view: DataView, at: number, secretAt: number): void {
  for (let i = 0; i < 8; i++) {
    const low = view.getUint32(at + 8 * i, true);
    const high = view.getUint32(at + 8 * i + 4, true);
    add(sums, i ^ 1, low, high);
    const a = low ^ SECRET_VIEW.getUint32(secretAt + 8 * i, true);
    const b = high ^ SECRET_VIEW.getUint32(secretAt + 8 * i + 4, true);
    add(sums, i, Math.imul(a, b) >>> 0, multiplyHigh(a, b));
  }
}

function add(sums: Uint32Array, i: number, low: number, high: number): void {
  const sum = sums[2 * i]! + low;
  sums[2 * i] = sum;
  sums[2 * i + 1] = sums[2 * i + 1]! + high + (sum > 0xffffffff ? 1 : 0);
}

/** The upper half of the product of two numbers of 32 bits. */
function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const first = aHigh * bLow + ((aLow * bLow) >>> 16);
  const second = aLow * bHigh + (first & 0xffff);
  return aHigh * bHigh + (first >>> 16) + (second >>> 16);
}

/** Mixes the accumulators after a block of stripes. */
function scramble(sums: Uint32Array): void {
  const secretAt = SECRET.length - STRIPE_BYTES;
  for (let i = 0; i < 8; i++) {
    const high = sums[2 * i + 1]!;
    const low = (sums[2 * i]! ^ (high >>> 15) ^ SECRET_VIEW.getUint32(secretAt + 8 * i, true)) >>> 0;
    const mixed = (high ^ SECRET_VIEW.getUint32(secretAt + 8 * i + 4, true)) >>> 0;
    sums[2 * i] = Math.imul(low, PRIME_32_1);
    sums[2 * i + 1] = multiplyHigh(low, PRIME_32_1) + (Math.imul(mixed, PRIME_32_1) >>> 0);
  }
}

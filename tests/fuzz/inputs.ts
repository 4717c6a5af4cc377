/**
 * Where inputs come from: noise, and valid inputs that were damaged. All of it follows from one random source.
 */
import type { Random } from "../../core/runtime/runtime.ts";

/** Longest input that is made, in bytes: beyond a datagram and beyond the buffers of small frames. */
const MAX_INPUT_BYTES = 4096;

/** Numbers at whose edges decoders break: around powers of two and the limits of the compact varint. */
const EDGES: readonly bigint[] = [0, 7, 8, 15, 16, 24, 31, 32, 48, 53, 63, 64]
  .map((bits) => 1n << BigInt(bits))
  .flatMap((power) => [power - 1n, power, power + 1n])
  .concat([0xfcn, 0xfdn, 0xfen])
  .map((edge) => BigInt.asUintN(64, edge));

type Mutation = (random: Random, input: Uint8Array, other: Uint8Array) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  setByte,
  truncate,
  cutFront,
  removeRange,
  repeatRange,
  moveRange,
  splice,
  appendNoise,
  writeEdge,
  writeEdge,
  insertVarint,
  overwriteVarint,
];

/** An input for a target with these `seeds`: one in eight is noise, the others are seeds with one to four mutations. */
export function makeInput(random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  if (seeds.length === 0 || random.chance(1, 8)) return makeNoise(random, random.chance(1, 16) ? 1500 : 64);
  const pick = () => seeds[random.below(seeds.length)]!;
  let input: Uint8Array = pick().slice();
  for (let left = 1 + random.below(4); left > 0; left--) {
    input = MUTATIONS[random.below(MUTATIONS.length)]!(random, input, pick());
  }
  return input.length > MAX_INPUT_BYTES ? input.slice(0, MAX_INPUT_BYTES) : input;
}

function makeNoise(random: Random, maxLength: number): Uint8Array {
  return random.fill(new Uint8Array(random.below(maxLength + 1)));
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A position in `input`, its end included. */
const position = (random: Random, input: Uint8Array) => random.below(input.length + 1);

/** A range of `input`, mostly short. */
function range(random: Random, input: Uint8Array): [number, number] {
  const from = position(random, input);
  const length = random.chance(3, 4) ? random.below(9) : position(random, input);
  return [from, Math.min(from + length, input.length)];
}

function flipBit(random: Random, input: Uint8Array): Uint8Array {
  if (input.length > 0) input[random.below(input.length)]! ^= 1 << random.below(8);
  return input;
}

function setByte(random: Random, input: Uint8Array): Uint8Array {
  if (input.length > 0) input[random.below(input.length)] = random.uint32();
  return input;
}

function truncate(random: Random, input: Uint8Array): Uint8Array {
  return input.slice(0, position(random, input));
}

function cutFront(random: Random, input: Uint8Array): Uint8Array {
  return input.slice(position(random, input));
}

function removeRange(random: Random, input: Uint8Array): Uint8Array {
  const [from, to] = range(random, input);
  return join(input.subarray(0, from), input.subarray(to));
}

function repeatRange(random: Random, input: Uint8Array): Uint8Array {
  const [from, to] = range(random, input);
  const times = random.chance(1, 8) ? 2 + random.below(64) : 1;
  const copies = Array.from({ length: times }, () => input.subarray(from, to));
  return join(input.subarray(0, to), ...copies, input.subarray(to)).slice(0, MAX_INPUT_BYTES);
}

function moveRange(random: Random, input: Uint8Array): Uint8Array {
  const [from, to] = range(random, input);
  const rest = join(input.subarray(0, from), input.subarray(to));
  const at = position(random, rest);
  return join(rest.subarray(0, at), input.subarray(from, to), rest.subarray(at));
}

function splice(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  return join(input.subarray(0, position(random, input)), other.subarray(position(random, other)));
}

function appendNoise(random: Random, input: Uint8Array): Uint8Array {
  return join(input, makeNoise(random, 32));
}

/** Overwrites 1, 2, 4 or 8 bytes with a number at an edge, in either byte order. */
function writeEdge(random: Random, input: Uint8Array): Uint8Array {
  const width = 1 << random.below(4);
  if (input.length < width) return input;
  const edge = EDGES[random.below(EDGES.length)]!;
  const view = new DataView(input.buffer, input.byteOffset);
  const at = random.below(input.length - width + 1);
  const littleEndian = random.chance(1, 2);
  if (width === 1) view.setUint8(at, Number(edge & 0xffn));
  else if (width === 2) view.setUint16(at, Number(edge & 0xffffn), littleEndian);
  else if (width === 4) view.setUint32(at, Number(edge & 0xffffffffn), littleEndian);
  else view.setBigUint64(at, edge, littleEndian);
  return input;
}

/** A compact varint of a number at an edge, one in four in a wider form than it needs. */
function edgeVarint(random: Random): Uint8Array {
  const edge = EDGES[random.below(EDGES.length)]!;
  const needed = edge <= 0xfcn ? 0 : edge <= 0xffffn ? 1 : edge <= 0xffffffffn ? 2 : 3;
  const form = Math.min(3, needed + (random.chance(1, 4) ? random.below(4) : 0));
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setBigUint64(1, edge, true);
  bytes[0] = 0xfc + form;
  return form === 0 ? bytes.subarray(1, 2) : bytes.subarray(0, 1 + (1 << form));
}

function insertVarint(random: Random, input: Uint8Array): Uint8Array {
  const at = position(random, input);
  return join(input.subarray(0, at), edgeVarint(random), input.subarray(at));
}

function overwriteVarint(random: Random, input: Uint8Array): Uint8Array {
  const at = position(random, input);
  const varint = edgeVarint(random);
  return join(input.subarray(0, at), varint, input.subarray(at + (random.chance(1, 2) ? 1 : varint.length)));
}

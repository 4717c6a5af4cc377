/**
 * Arrays of numbers: a `uint` number of ELEMENTS and those, little-endian whatever the host. What is decoded is a copy:
 * whether a view would be aligned depends on where in a message it happens to lie.
 */
import { copyOut } from "./buffers.ts";
import { type Codec, type Cursor, DecodeError } from "./codec.ts";
import { uint } from "./varint.ts";

interface TypedArray {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly length: number;
}

interface TypedArrayType<T extends TypedArray> {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): T;
}

const IS_LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function swap(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

function write<T extends TypedArray>(cursor: Cursor, type: TypedArrayType<T>, value: T): void {
  const at = cursor.reserve(value.byteLength);
  cursor.buffer.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), at);
  if (!IS_LITTLE_ENDIAN) swap(cursor.buffer.subarray(at, cursor.start), type.BYTES_PER_ELEMENT);
}

function read<T extends TypedArray>(cursor: Cursor, type: TypedArrayType<T>, size: number): T {
  const copy = copyOut(cursor, cursor.take(size));
  if (!IS_LITTLE_ENDIAN) swap(new Uint8Array(copy), type.BYTES_PER_ELEMENT);
  return new type(copy);
}

function checkType<T extends TypedArray>(type: TypedArrayType<T>, value: T): void {
  if (!(value instanceof type)) throw new TypeError(`Expected a ${type.name}, got ${typeof value}`);
}

function typedArray<T extends TypedArray>(type: TypedArrayType<T>): Codec<T> {
  return {
    size(value: T): number {
      checkType(type, value);
      return uint.size(value.length) + value.byteLength;
    },
    encode(cursor: Cursor, value: T): void {
      checkType(type, value);
      uint.encode(cursor, value.length);
      write(cursor, type, value);
    },
    decode: (cursor: Cursor): T => read(cursor, type, uint.decode(cursor) * type.BYTES_PER_ELEMENT),
  };
}

function rawTypedArray<T extends TypedArray>(type: TypedArrayType<T>): Codec<T> {
  return {
    size(value: T): number {
      checkType(type, value);
      return value.byteLength;
    },
    encode(cursor: Cursor, value: T): void {
      checkType(type, value);
      write(cursor, type, value);
    },
    decode(cursor: Cursor): T {
      const size = cursor.remaining;
      const width = type.BYTES_PER_ELEMENT;
      if (size % width !== 0) {
        throw new DecodeError(`Expected elements of ${width} bytes, found ${size}`, cursor.start);
      }
      return read(cursor, type, size);
    },
  };
}

/** Bytes. Unlike `buffer`, decodes to a copy. */
export const uint8Array: Codec<Uint8Array> = typedArray(Uint8Array);
/** Signed bytes. */
export const int8Array: Codec<Int8Array> = typedArray(Int8Array);
/** 16-bit integers. */
export const uint16Array: Codec<Uint16Array> = typedArray(Uint16Array);
/** Signed 16-bit integers, in two's complement. */
export const int16Array: Codec<Int16Array> = typedArray(Int16Array);
/** 32-bit integers. */
export const uint32Array: Codec<Uint32Array> = typedArray(Uint32Array);
/** Signed 32-bit integers, in two's complement. */
export const int32Array: Codec<Int32Array> = typedArray(Int32Array);
/** 64-bit integers. */
export const bigUint64Array: Codec<BigUint64Array> = typedArray(BigUint64Array);
/** Signed 64-bit integers, in two's complement. */
export const bigInt64Array: Codec<BigInt64Array> = typedArray(BigInt64Array);
/** Single-precision numbers. */
export const float32Array: Codec<Float32Array> = typedArray(Float32Array);
/** Double-precision numbers. */
export const float64Array: Codec<Float64Array> = typedArray(Float64Array);

/** {@linkcode uint8Array} without the count, to the end. */
export const rawUint8Array: Codec<Uint8Array> = rawTypedArray(Uint8Array);
/** {@linkcode int8Array} without the count, to the end. */
export const rawInt8Array: Codec<Int8Array> = rawTypedArray(Int8Array);
/** {@linkcode uint16Array} without the count, to the end. */
export const rawUint16Array: Codec<Uint16Array> = rawTypedArray(Uint16Array);
/** {@linkcode int16Array} without the count, to the end. */
export const rawInt16Array: Codec<Int16Array> = rawTypedArray(Int16Array);
/** {@linkcode uint32Array} without the count, to the end. */
export const rawUint32Array: Codec<Uint32Array> = rawTypedArray(Uint32Array);
/** {@linkcode int32Array} without the count, to the end. */
export const rawInt32Array: Codec<Int32Array> = rawTypedArray(Int32Array);
/** {@linkcode bigUint64Array} without the count, to the end. */
export const rawBigUint64Array: Codec<BigUint64Array> = rawTypedArray(BigUint64Array);
/** {@linkcode bigInt64Array} without the count, to the end. */
export const rawBigInt64Array: Codec<BigInt64Array> = rawTypedArray(BigInt64Array);
/** {@linkcode float32Array} without the count, to the end. */
export const rawFloat32Array: Codec<Float32Array> = rawTypedArray(Float32Array);
/** {@linkcode float64Array} without the count, to the end. */
export const rawFloat64Array: Codec<Float64Array> = rawTypedArray(Float64Array);

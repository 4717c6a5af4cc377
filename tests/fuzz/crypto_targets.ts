/** Fuzz targets of `core/crypto/`: what takes bytes from a stranger before anything has been proven about them. */
import { NoiseHandshake, type NoiseOptions, type NoisePattern } from "../../core/crypto/noise.ts";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { UnorderedOpener, UnorderedSealer } from "../../core/crypto/secret_state.ts";
import { ProtocolError } from "../../core/runtime/errors.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const seed = (n: number) => new Uint8Array(32).fill(n);
const keys = [1, 2, 3, 4].map((n) => crypto.keyPair(seed(n)));
const key = seed(5);
const header = new Uint8Array(24).fill(6);
const hash = new Uint8Array(64).fill(7);

/** An end that has taken part in `steps` messages of a good handshake, and the message that it should get next. */
function endAfter(pattern: NoisePattern, steps: number): { end: NoiseHandshake; next: Uint8Array } {
  const common = { pattern };
  const options: NoiseOptions[] = [
    {
      ...common,
      initiator: true,
      staticKeyPair: keys[0]!,
      ephemeralKeyPair: keys[2],
      remotePublicKey: pattern === "IK" ? keys[1]!.publicKey : undefined,
    },
    { ...common, initiator: false, staticKeyPair: keys[1]!, ephemeralKeyPair: keys[3] },
  ];
  let [from, to] = [new NoiseHandshake(crypto, options[0]!), new NoiseHandshake(crypto, options[1]!)];
  for (let i = 0; i < steps; i++) {
    to.recv(from.send());
    [from, to] = [to, from];
  }
  return { end: to, next: from.send(Uint8Array.of(1, 2, 3)) };
}

function noiseTarget(pattern: NoisePattern, steps: number): FuzzTarget {
  return {
    name: `NoiseHandshake:${pattern}${steps + 1}`,
    seeds: [endAfter(pattern, steps).next],
    run(input: Uint8Array): void {
      const { end, next } = endAfter(pattern, steps);
      try {
        end.recv(input);
      } catch (error) {
        if (!accepts(end, next)) throw new Error("a refused message changed the handshake", { cause: error });
        throw error;
      }
      if (end.sending) end.send();
    },
    expected: (error: unknown) => error instanceof ProtocolError,
  };
}

function accepts(end: NoiseHandshake, message: Uint8Array): boolean {
  try {
    end.recv(message);
    return true;
  } catch {
    return false;
  }
}

function sealedSeed(length: number): Uint8Array {
  const out = new Uint8Array(length + 17);
  crypto.secretStream(key, header).push(out, new Uint8Array(length));
  return out;
}

const unorderedSeed = new UnorderedSealer(crypto, hash, { isInitiator: true, start: new Uint8Array(8) })
  .seal(Uint8Array.of(1, 2, 3));
const signature = crypto.sign(new Uint8Array(0), keys[0]!.secretKey);

/** All targets of this folder. */
export const targets: readonly FuzzTarget[] = [
  noiseTarget("IK", 0),
  noiseTarget("IK", 1),
  noiseTarget("XX", 0),
  noiseTarget("XX", 1),
  noiseTarget("XX", 2),
  {
    name: "CryptoProvider:secretStream",
    seeds: [sealedSeed(0), sealedSeed(100)],
    run(input: Uint8Array): void {
      if (input.length >= 17) crypto.secretStream(key, header).pull(input.subarray(1, -16), input);
    },
  },
  {
    name: "CryptoProvider:dh",
    seeds: [keys[1]!.publicKey],
    run(input: Uint8Array): void {
      if (input.length >= 32) crypto.dh(keys[0]!.secretKey, input.subarray(0, 32));
    },
  },
  {
    name: "CryptoProvider:verify",
    seeds: [Uint8Array.of(...signature, ...keys[0]!.publicKey)],
    run(input: Uint8Array): void {
      if (input.length < 96) return;
      crypto.verify(input.subarray(96), input.subarray(0, 64), input.subarray(64, 96));
    },
  },
  {
    name: "UnorderedOpener",
    seeds: [unorderedSeed],
    run(input: Uint8Array): void {
      new UnorderedOpener(crypto, hash, { isInitiator: false }).open(input);
    },
  },
];

/**
 * A transport as a third party would write it, complete: what another transport carries, with every byte masked, so that filters
 * which know the look of a protocol do not see it. `masked:1.2.3.4:5` is `tcp:1.2.3.4:5` with a mask, for example.
 *
 * It does no encryption: that comes from above, the same for all transports. The tests run the conformance suite on it.
 */
import type { Link, Listener, Transport } from "@hypha/hypha";
import type { Duplex, Sink } from "@hypha/hypha/core";

/** XORs the bytes of one direction with a mask that goes on from chunk to chunk. */
class Mask {
  readonly #mask: Uint8Array;
  #at = 0;

  constructor(mask: Uint8Array) {
    this.#mask = mask;
  }

  apply(chunk: Uint8Array): Uint8Array {
    for (let i = 0; i < chunk.length; i++) chunk[i]! ^= this.#mask[this.#at++ % this.#mask.length]!;
    return chunk;
  }
}

/** A pipe that masks. Chunks may be changed where they lie: going down they are given away, coming up they are lent. */
class MaskedDuplex implements Duplex {
  readonly framing = "bytes";
  readonly #inner: Duplex;
  readonly #down: Mask;
  readonly #up: Mask;

  constructor(inner: Duplex, mask: Uint8Array) {
    this.#inner = inner;
    this.#down = new Mask(mask);
    this.#up = new Mask(mask);
  }

  attach(sink: Sink): void {
    this.#inner.attach({
      onData: (chunk) => sink.onData(this.#up.apply(chunk)),
      onDrain: () => sink.onDrain(),
      onEnd: () => sink.onEnd(),
      onClose: (error) => sink.onClose(error),
    });
  }

  alloc = (size: number): Uint8Array => this.#inner.alloc(size);
  write = (chunk: Uint8Array): boolean => this.#inner.write(this.#down.apply(chunk));
  pause = (): void => this.#inner.pause();
  resume = (): void => this.#inner.resume();
  end = (): void => this.#inner.end();
  destroy = (error?: Error): void => this.#inner.destroy(error);
}

/** Masks what `inner` carries; both sides need the same mask. */
export class MaskedTransport implements Transport {
  readonly scheme = "masked";
  readonly #inner: Transport;
  readonly #mask: Uint8Array;

  constructor(inner: Transport, mask: Uint8Array) {
    if (mask.length === 0) throw new RangeError("A mask must not be empty");
    this.#inner = inner;
    this.#mask = mask;
  }

  async dial(address: string, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    if (!address.startsWith("masked:")) throw new TypeError(`Expected masked:..., got ${address}`);
    return this.#masked(await this.#inner.dial(this.#inner.scheme + address.slice(6), options));
  }

  async listen(
    onLink: (link: Link) => void,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Listener> {
    const listener = await this.#inner.listen((link) => onLink(this.#masked(link)), options);
    return {
      addresses: listener.addresses.map((address) => this.#rename(address)),
      [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
    };
  }

  #masked({ duplex, remoteAddress }: Link): Link {
    return { duplex: new MaskedDuplex(duplex, this.#mask), remoteAddress: this.#rename(remoteAddress) };
  }

  #rename(address: string): string {
    return "masked" + address.slice(this.#inner.scheme.length);
  }
}

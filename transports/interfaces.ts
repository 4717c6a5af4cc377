/**
 * What the host knows of its own place in the network: interfaces, and names of others.
 */
import { lookup } from "node:dns/promises";
import { networkInterfaces as hostInterfaces } from "node:os";
import { ConnectError } from "../core/runtime/errors.ts";
import type { Clock, Timer } from "../core/runtime/runtime.ts";
import { SocketAddress } from "../encoding/address.ts";

/** One address of one network interface. */
export interface NetworkInterface {
  /** The system's name of the interface, for example `eth0`. */
  readonly name: string;
  /** The address, as text. */
  readonly host: string;
  /** The version of IP. */
  readonly family: 4 | 6;
  /** Whether only this host can reach it. */
  readonly isInternal: boolean;
}

interface Permissions {
  querySync(descriptor: { name: "sys"; kind: "networkInterfaces" }): { readonly state: string };
}

/** Whether the list may be asked for without the user being asked first. */
function isGranted(): boolean {
  const deno = (globalThis as { Deno?: unknown }).Deno as { permissions: Permissions } | undefined;
  return deno === undefined ||
    deno.permissions.querySync({ name: "sys", kind: "networkInterfaces" }).state === "granted";
}

/**
 * The addresses of this host's interfaces. Empty where the program may not know: on Deno it takes
 * `--allow-sys=networkInterfaces`, and nothing is asked.
 *
 * @example
 * ```ts
 * import { networkInterfaces } from "./interfaces.ts";
 *
 * for (const { name, host } of networkInterfaces()) console.assert(name !== "" && host !== "");
 * ```
 */
export function networkInterfaces(): NetworkInterface[] {
  if (!isGranted()) return [];
  const found: NetworkInterface[] = [];
  for (const [name, addresses] of Object.entries(hostInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      found.push({ name, host: address, family: family === "IPv4" ? 4 : 6, isInternal: internal });
    }
  }
  return found;
}

/** The addresses that other hosts may reach this one at, IPv4 first; no link-local ones, which need a zone. */
export function localHosts(): string[] {
  const usable = networkInterfaces().filter(({ host, isInternal }) =>
    !isInternal && !/^fe[89ab]/i.test(host)
  );
  return usable.sort((a, b) => a.family - b.family).map(({ host }) => host);
}

/** How often a {@linkcode InterfaceWatcher} looks, in milliseconds: the reference's pace. */
const POLL_MS = 5000;

/** Tells when the interfaces change. There is no portable news of it, so it looks every few seconds. */
export class InterfaceWatcher {
  readonly #clock: Clock;
  readonly #onChange: (interfaces: readonly NetworkInterface[]) => void;
  readonly #list: () => readonly NetworkInterface[];
  readonly #timer: Timer;
  #current: readonly NetworkInterface[];

  /** Calls `onChange` when the result of `list` changes, until {@linkcode close}. */
  constructor(
    clock: Clock,
    onChange: (interfaces: readonly NetworkInterface[]) => void,
    list: () => readonly NetworkInterface[] = networkInterfaces,
  ) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#list = list;
    this.#current = list();
    this.#timer = clock.schedule(clock.now() + POLL_MS, () => this.#look());
  }

  /** Stops looking. */
  close(): void {
    this.#timer.cancel();
  }

  #look(): void {
    this.#timer.reset(this.#clock.now() + POLL_MS);
    const next = this.#list();
    const isSame = next.length === this.#current.length &&
      next.every(({ name, host }, i) => name === this.#current[i]!.name && host === this.#current[i]!.host);
    if (isSame) return;
    this.#current = next;
    this.#onChange(next);
  }
}

/**
 * The address of a host name, of the wanted family if one is given. An address is returned as it is.
 *
 * @throws {ConnectError} `ADDRESS_UNUSABLE` if the name is not known.
 */
export async function lookupHost(
  host: string,
  port: number,
  options: { readonly family?: 4 | 6 } = {},
): Promise<SocketAddress> {
  try {
    const { address } = await lookup(host, { family: options.family ?? 0 });
    return SocketAddress.of(address, port);
  } catch (cause) {
    throw new ConnectError("ADDRESS_UNUSABLE", `No address is known for ${host}: check the name`, { cause });
  }
}

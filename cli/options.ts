/**
 * What is common to the options of several commands: how they are read, and which of them go together.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { bootstrapNode } from "../dht/rpc/rpc_options.ts";
import { fromHex, parseKey, SocketAddress } from "../encoding/mod.ts";

/** A command line that makes no sense as a whole. */
export class UsageError extends Error {}

/** Reads a port, 0 included. */
export function parsePort(text: string): number {
  return numberOf(text, 0, 65535, "A port is a number from 0 to 65535.");
}

/** Reads a port that others can write to. */
export function parseOpenPort(text: string): number {
  return numberOf(text, 1, 65535, "A port that others can write to is a number from 1 to 65535.");
}

/** Reads a whole number that is not negative. */
export function parseCount(text: string): number {
  return numberOf(text, 0, Number.MAX_SAFE_INTEGER, "Expected a whole number.");
}

function numberOf(text: string, min: number, max: number, message: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new InvalidArgumentError(message);
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** Reads a number of bytes such as `500k` or `1.5 GB`: thousands, as they are printed. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)b?$/i.exec(text.trim());
  if (match === null) {
    throw new InvalidArgumentError("Expected a number of bytes, such as 500k, 20M or 1.5G.");
  }
  return Math.round(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
}

/** Reads `host:port,host:port`. */
export function parseBootstrap(text: string): string[] {
  try {
    const nodes = text.split(",").map((node) => node.trim());
    for (const node of nodes) bootstrapNode(node);
    return nodes;
  } catch {
    throw new InvalidArgumentError("Expected host:port, or several with commas between.");
  }
}

/** Reads an IP address. */
export function parseHost(text: string): string {
  try {
    return SocketAddress.of(text, 0).host;
  } catch {
    throw new InvalidArgumentError("Expected an IP address of this machine.");
  }
}

/** Reads an IPv4 address. */
export function parseIpv4Host(text: string): string {
  if (!parseHost(text).includes(":")) return text;
  throw new InvalidArgumentError("The DHT runs on IPv4 alone: expected such an address of this machine.");
}

/** Reads 32 bytes. */
export function parseSeed(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new InvalidArgumentError("A seed is 64 hexadecimal digits.");
  return fromHex(text);
}

/** Reads words that name a topic. */
export function parseTopic(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("A topic is some words, in quotes.");
  return text;
}

/** Reads the keys of relays, commas between. */
export function parseRelays(text: string): Uint8Array[] {
  try {
    return text.split(",").map((key) => parseKey(key.trim()));
  } catch {
    throw new InvalidArgumentError("Expected the key that `hypha relay` printed, or several with commas.");
  }
}

/** Adds `--json`, which every command has. */
export function withJson(command: Command): Command {
  return command.option("--json", "print one JSON object a line");
}

/** Adds the options of a command that uses the DHT. */
export function withDhtOptions(command: Command): Command {
  return withJson(
    command
      .option(
        "--bootstrap <nodes>",
        "start from these nodes (host:port, commas between), not from the public ones",
        parseBootstrap,
      )
      .option("--host <address>", "address of this machine to use", parseHost, "0.0.0.0")
      .option("--no-cache", "neither use nor keep the nodes of earlier runs"),
  );
}

/** The option that names relays. */
export function relayOption(): Option {
  const description = "meet the peer at this relay while no direct way is found (keys, commas between)";
  return new Option("--relay <keys>", description).argParser(parseRelays);
}

/** The option that makes an identity of a seed. */
export function seedOption(description: string): Option {
  return new Option("--seed <hex>", description).argParser(parseSeed);
}

/** Which ways to peers a command may use. */
export interface WayOptions {
  /** Nodes to begin with. */
  readonly bootstrap?: readonly string[];
  /** The address of this machine. */
  readonly host: string;
  /** Whether to use the DHT. */
  readonly dht: boolean;
  /** Whether to stay within the local network. */
  readonly lanOnly?: boolean;
  /** Words that both sides know. */
  readonly topic?: string;
  /** Blind relays at which peers may be met. */
  readonly relay?: readonly Uint8Array[];
}

/** Adds the options of a command that meets a peer by a ticket or a topic, in several ways. */
export function withWayOptions(command: Command): Command {
  return withNetworkOptions(
    command.option(
      "--topic <words>",
      "meet whoever knows the same words, instead of by a ticket",
      parseTopic,
    ),
  );
}

/** Adds the options of a command that finds its peers in several ways. */
export function withNetworkOptions(command: Command): Command {
  return withDhtOptions(
    command
      .option("--lan-only", "stay within the local network: no DHT, nothing leaves it")
      .option("--no-dht", "do without the DHT: addresses in tickets, and the local network")
      .addOption(relayOption()),
  );
}

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return SocketAddress.of(host, 0).isLoopback;
}

/** @throws {UsageError} if `options` contradict each other. */
export function checkWays(options: WayOptions): void {
  const { bootstrap, host, dht, lanOnly, topic, relay } = options;
  const without = lanOnly === true ? "--lan-only" : dht ? undefined : "--no-dht";
  if (lanOnly === true && !dht) {
    throw new UsageError("--lan-only does without the DHT already: leave --no-dht out");
  }
  if (without !== undefined && bootstrap !== undefined) {
    throw new UsageError(
      `--bootstrap leads into the DHT, and ${without} does without: leave one of them out`,
    );
  }
  if (without !== undefined && relay !== undefined) {
    throw new UsageError(`--relay is found by the DHT, and ${without} does without: leave one of them out`);
  }
  if (!dht && topic !== undefined) {
    throw new UsageError(
      "A topic is looked up in the DHT and in the local network: with --topic, use --lan-only for the latter alone",
    );
  }
  if (lanOnly === true && isLoopback(host)) {
    throw new UsageError(
      `--lan-only needs the local network, which ${host} is not part of: leave --host out`,
    );
  }
}

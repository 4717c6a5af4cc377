/**
 * What commands that work with logs report, and how people read it.
 */
import { counted, formatBytes } from "./units.ts";

/** What is known of a log that is stored. */
export interface LogInfo {
  readonly event: "info";
  readonly key: string;
  readonly discoveryKey: string;
  /** What it is called in this store. */
  readonly name: string | null;
  readonly length: number;
  readonly byteLength: number;
  /** How many blocks are stored. */
  readonly held: number;
  /** All blocks before this one are stored. */
  readonly contiguousLength: number;
  readonly fork: number;
  readonly isWritable: boolean;
  /** Whether the store knows what its blocks are encrypted with. */
  readonly isEncrypted: boolean;
  /** Bytes that the store takes with all its logs. */
  readonly storeBytes: number;
}

/** How much of a log is stored. */
export interface HeldBlocks {
  readonly key: string;
  /** What it is called in this store. */
  readonly name: string | null;
  readonly length: number;
  readonly held: number;
  /** How many peers have the log open. */
  readonly peers: number;
}

/** Something to report of a log. */
export type LogReport =
  | LogInfo
  | {
    readonly event: "created";
    readonly key: string;
    readonly discoveryKey: string;
    readonly name: string;
    readonly encryptionKey?: string;
  }
  | {
    readonly event: "appended";
    readonly key: string;
    /** The length of the log with them. */
    readonly length: number;
    readonly blocks: number;
    readonly bytes: number;
  }
  | {
    readonly event: "block";
    readonly index: number;
    readonly bytes: number;
    /** The block, if it is UTF-8. */
    readonly text?: string;
    /** The block, if not. */
    readonly hex?: string;
  }
  | { readonly event: "rewritten"; readonly key: string; readonly length: number; readonly fork: number }
  | ({ readonly event: "seeding" } & HeldBlocks)
  | ({ readonly event: "held" } & HeldBlocks)
  | { readonly event: "reachable"; readonly ticket: string }
  | { readonly event: "removed"; readonly key: string; readonly bytes: number };

/** A report in the words of people. */
export function textOf(report: LogReport): string {
  switch (report.event) {
    case "created":
      return report.encryptionKey === undefined
        ? report.key
        : `${report.key}\nencrypted with ${report.encryptionKey}, which its readers need as well`;
    case "appended":
      return `${counted(report.blocks, "block")}, ${
        formatBytes(report.bytes)
      }: the log has ${report.length} now`;
    case "info":
      return infoText(report);
    case "block":
      return report.text ?? report.hex ?? "";
    case "rewritten":
      return `The writer has cut the log to ${
        counted(report.length, "block")
      }, which makes it fork ${report.fork}`;
    case "seeding":
      return `Seeding ${titleOf(report)}: ${report.held} of ${counted(report.length, "block")} are here`;
    case "held":
      return `${titleOf(report)}: ${report.held} of ${counted(report.length, "block")}, ${
        counted(report.peers, "peer")
      }`;
    case "reachable":
      return `Whoever cannot look this side up:\n\n  --peer ${report.ticket}\n`;
    case "removed":
      return `${report.key} is removed, ${formatBytes(report.bytes)} are free again`;
  }
}

/** One line of a list of logs. */
export function listLine({ key, name, held, length, byteLength, isWritable }: LogInfo): string {
  const what = isWritable ? "writable, " : "";
  return `${key}  ${what}${held} of ${counted(length, "block")}, ${formatBytes(byteLength)}${
    name === null ? "" : `  ${name}`
  }`;
}

function infoText(info: LogInfo): string {
  const lines: [string, string][] = [
    ["key", info.key],
    ["discovery key", info.discoveryKey],
    ...(info.name === null ? [] : [["name", info.name]] as [string, string][]),
    ["length", `${counted(info.length, "block")}, ${formatBytes(info.byteLength)}`],
    ["here", `${counted(info.held, "block")}, the first ${info.contiguousLength} without a gap`],
    ["fork", String(info.fork)],
    ["written", info.isWritable ? "here" : "elsewhere"],
    ["encrypted", info.isEncrypted ? "yes, and the key is here" : "not that this store knows"],
    ["store", formatBytes(info.storeBytes)],
  ];
  return lines.map(([title, text]) => `${title.padEnd(15)}${text}`).join("\n");
}

function titleOf({ key, name }: { readonly key: string; readonly name: string | null }): string {
  return name === null ? key : `${name} (${key})`;
}

/**
 * What the user sees: a progress line on a terminal, plain lines elsewhere, one JSON object a line with `--json`.
 */
import process from "node:process";
import { styleText } from "node:util";
import type { PathKind, RelayStats } from "../dht/mod.ts";
import { type LogReport, textOf } from "./log_reports.ts";
import type { LogLine, RecordLine, RepairLine, StoreLine } from "./store.ts";
import { counted, formatBytes, formatRate } from "./units.ts";

export { formatBytes, formatRate };

/** Something to report. `event` tells the kinds apart. */
export type Report =
  | LogReport
  | { readonly event: "ticket"; readonly ticket: string; readonly file: string; readonly bytes: number }
  | {
    readonly event: "progress";
    readonly bytes: number;
    readonly total: number;
    readonly bytesPerSecond: number;
  }
  | {
    readonly event: "done";
    readonly file: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly ms: number;
    readonly peer: string;
    readonly path: PathKind;
    readonly address: string;
  }
  | { readonly event: "topic"; readonly topic: string; readonly file: string; readonly bytes: number }
  | { readonly event: "listening"; readonly key: string }
  | {
    readonly event: "connection";
    readonly peer: string;
    readonly path: PathKind;
    readonly address?: string;
  }
  | {
    readonly event: "connected";
    readonly peer: string;
    readonly path: PathKind;
    readonly address: string;
    readonly ms: number;
  }
  | { readonly event: "closed"; readonly peer: string; readonly reason?: string }
  | { readonly event: "bootstrap"; readonly address: string; readonly nodes: number }
  | { readonly event: "relay"; readonly key: string; readonly address: string | null }
  | { readonly event: "stats"; readonly stats: RelayStats }
  | { readonly event: "stored"; readonly key: string }
  | { readonly event: "value"; readonly key: string; readonly value: string }
  | { readonly event: "peer"; readonly peer: string }
  | { readonly event: "announced"; readonly topic: string; readonly peer: string }
  | LogLine
  | StoreLine
  | RecordLine
  | RepairLine
  | {
    readonly event: "freed";
    readonly path: string;
    readonly bytes: number;
    readonly size: number;
    readonly removed: number;
  }
  | { readonly event: "warning"; readonly code: string; readonly message: string }
  | { readonly event: "error"; readonly code: string; readonly message: string };

/** Progress is told at most this often: on a terminal and to programs, and in plain lines; in milliseconds. */
const LIVE_INTERVAL_MS = 100;
const PLAIN_INTERVAL_MS = 1000;
const BAR_CELLS = 24;

/** Writes reports to the terminal, or to whatever stands in its place. */
export class Reporter {
  readonly #isJson: boolean;
  /** Where all goes that is not the result itself: standard output may belong to the peer. */
  readonly #output: NodeJS.WriteStream;
  readonly #isTerminal: boolean;
  #lastProgressAt = -Infinity;
  #hasLine = false;

  /** A reporter for people, or for programs if `isJson`; on standard error if standard output is for data. */
  constructor(options: { readonly isJson: boolean; readonly onStderr?: boolean }) {
    this.#isJson = options.isJson;
    this.#output = options.onStderr === true ? process.stderr : process.stdout;
    this.#isTerminal = !options.isJson && this.#output.isTTY === true;
  }

  /** Reports an event, unless it is one of a transfer's progress and comes too soon after the last. */
  report(report: Report): void {
    if (report.event === "progress" && !this.#isProgressDue(report.bytes === report.total)) return;
    this.#say(report);
  }

  /** Reports an event that more will follow, unless it comes too soon after the last; returns whether it was reported. */
  progress(report: Report): boolean {
    const isDue = this.#isProgressDue(false);
    if (isDue) this.#say(report);
    return isDue;
  }

  #say(report: Report): void {
    if (this.#isJson) {
      this.#streamOf(report).write(`${JSON.stringify(report)}\n`);
      return;
    }
    if (report.event === "progress" && this.#isTerminal) {
      this.#output.write(`\r${progressBar(report.bytes, report.total)} ${progressText(report)}\x1b[K`);
      this.#hasLine = true;
      return;
    }
    this.#endLine();
    this.#streamOf(report).write(`${this.#text(report)}\n`);
  }

  /** The key of a listener is what it was started for, even where standard output is for data from then on. */
  #streamOf({ event }: Report): NodeJS.WriteStream {
    if (event === "listening") return process.stdout;
    return !this.#isJson && (event === "error" || event === "warning") ? process.stderr : this.#output;
  }

  /** A line for people; programs do not get it. */
  note(text: string): void {
    if (this.#isJson) return;
    this.#endLine();
    this.#output.write(`${text}\n`);
  }

  /** Milliseconds between two reports of the same thing that changes. */
  get intervalMs(): number {
    return this.#isTerminal || this.#isJson ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS;
  }

  #isProgressDue(isLast: boolean): boolean {
    const now = performance.now();
    if (!isLast && now - this.#lastProgressAt < this.intervalMs) return false;
    this.#lastProgressAt = now;
    return true;
  }

  #endLine(): void {
    if (this.#hasLine) this.#output.write("\n");
    this.#hasLine = false;
  }

  #text(report: Report): string {
    switch (report.event) {
      case "ticket":
        return this.#offer(report, "receive", report.ticket);
      case "topic":
        return this.#offer(report, "receive --topic", quoted(report.topic));
      case "progress":
        return progressText(report);
      case "done":
        return `${report.file}: ${formatBytes(report.bytes)} in ${(report.ms / 1000).toFixed(2)} s (${
          formatRate(report.bytes * 1000 / Math.max(report.ms, 1))
        })\nsha256 ${report.sha256}`;
      case "listening":
        return `Listening. To connect:\n\n  hypha connect ${this.#style("bold", report.key)}\n`;
      case "connection":
        return `${report.peer} has connected ${PATHS[report.path]}`;
      case "connected":
        return `Connected to ${report.peer} ${PATHS[report.path]} (${report.address}) in ${report.ms} ms`;
      case "closed":
        return `${report.peer} is gone${report.reason === undefined ? "" : `: ${report.reason}`}`;
      case "bootstrap":
        return `A network can start here:\n\n  --bootstrap ${this.#style("bold", report.address)}\n`;
      case "relay":
        return `Relaying. To use it:\n\n  --relay ${this.#style("bold", report.key)}\n`;
      case "stats":
        return relayText(report.stats);
      case "stored":
        return report.key;
      case "peer":
        return report.peer;
      case "value":
        return this.#isTerminal ? printable(report.value) : report.value;
      case "announced":
        return `${report.peer} is announced under ${report.topic}, until you interrupt`;
      case "log":
        return logText(report);
      case "store":
        return storeText(report);
      case "record":
        return `${report.name}: ${report.verdict}`;
      case "repaired":
        return repairText(report);
      case "freed":
        return `${report.path}: ${formatBytes(report.bytes)} given back, ${formatBytes(report.size)} left`;
      case "warning":
        return `${this.#style("yellow", "warning")}: ${report.message}`;
      case "error":
        return `${this.#style("red", "error")}: ${report.message}`;
      default:
        return textOf(report);
    }
  }

  #offer(offer: { readonly file: string; readonly bytes: number }, command: string, what: string): string {
    const { file, bytes } = offer;
    return `${file} (${formatBytes(bytes)}) is ready. On the other machine:\n\n  hypha ${command} ${
      this.#style("bold", what)
    }\n`;
  }

  #style(style: "bold" | "red" | "yellow", text: string): string {
    return this.#isTerminal ? styleText(style, text) : text;
  }
}

/** How a connection goes, in the middle of a sentence. */
const PATHS: Readonly<Record<PathKind, string>> = {
  direct: "directly",
  lan: "in the local network",
  punched: "through a punched hole",
  relayed: "through a relay",
};

/** `text` as one word of a command line. */
function quoted(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `text` without what a terminal would obey. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "?");
}

function relayText({ sessions, pairings, refused, bytes }: RelayStats): string {
  const turnedAway = Object.values(refused).reduce((sum, count) => sum + count);
  return `${sessions.opened} sessions, ${pairings.matched} pairs, ${
    formatBytes(bytes)
  } carried, ${turnedAway} refusals`;
}

function repairText(report: RepairLine): string {
  const { key, discoveryKey, length, verdict, problems } = report;
  const counts = (["nodes", "lost", "found", "freed", "unproven"] as const)
    .filter((name) => report[name] > 0).map((name) => `${report[name]} ${REPAIRS[name]}`);
  const what = counts.length === 0 ? "" : ` (${counts.join(", ")})`;
  const lines = [`${verdict}  ${key ?? discoveryKey}  ${counted(length, "block")}${what}`, ...problems];
  return lines.join("\n  ");
}

const REPAIRS = {
  nodes: "nodes mended",
  lost: "blocks lost",
  found: "blocks found",
  freed: "blocks freed",
  unproven: "blocks that cannot be proven",
};

function logText(
  { key, discoveryKey, length, blocks, bytes, verdict, reason, fork, isWritable }: LogLine,
): string {
  const what = [
    verdict ?? "",
    `${blocks} of ${counted(length, "block")}`,
    formatBytes(bytes),
    fork === undefined || fork === 0 ? "" : `fork ${fork}`,
    isWritable === true ? "writable" : "",
    printable(reason ?? ""),
  ];
  return `${key ?? discoveryKey}  ${what.filter((text) => text !== "").join(", ")}`;
}

function storeText({ path, kind, logs, blocks, bytes, size, free }: StoreLine): string {
  return `${path} (${kind}): ${counted(logs, "log")}, ${counted(blocks, "block")}, ${formatBytes(bytes)}; ${
    formatBytes(size)
  } on disk, ${formatBytes(free)} of these unused`;
}

function progressBar(bytes: number, total: number): string {
  const filled = total === 0 ? BAR_CELLS : Math.floor(BAR_CELLS * bytes / total);
  return `[${"#".repeat(filled)}${"-".repeat(BAR_CELLS - filled)}]`;
}

function progressText({ bytes, total, bytesPerSecond }: Extract<Report, { event: "progress" }>): string {
  const percent = total === 0 ? 100 : Math.floor(100 * bytes / total);
  const text = `${String(percent).padStart(3)} %  ${formatBytes(bytes)} of ${formatBytes(total)}`;
  return `${text}  ${formatRate(bytesPerSecond)}`;
}

/** Turns the bytes of a transfer into progress reports. */
export class Progress {
  readonly #reporter: Reporter;
  readonly #total: number;
  readonly #isShown: boolean;
  #startedAt = performance.now();
  #bytes = 0;

  /** Progress towards `total` bytes, which others see if `isShown`. */
  constructor(reporter: Reporter, total: number, isShown: boolean = true) {
    this.#reporter = reporter;
    this.#total = total;
    this.#isShown = isShown;
  }

  /** The first byte is about to go. */
  start(): void {
    this.#startedAt = performance.now();
  }

  /** Milliseconds since the beginning. */
  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Adds what was just transferred. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (!this.#isShown) return;
    const bytesPerSecond = Math.round(this.#bytes * 1000 / Math.max(this.elapsedMs, 1));
    this.#reporter.report({ event: "progress", bytes: this.#bytes, total: this.#total, bytesPerSecond });
  }
}

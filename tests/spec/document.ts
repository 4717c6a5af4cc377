/** The pages of `docs/spec/` taken apart: examples in hexadecimal, and tables. */
import { readdirSync, readFileSync } from "node:fs";
import { fromHex } from "../../encoding/text.ts";

const folder = new URL("../../docs/spec/", import.meta.url);

/** The names of the pages. */
export const pages: readonly string[] = readdirSync(folder).filter((name) => name.endsWith(".md")).toSorted();

/** The text of a page. */
export function readPage(name: string): string {
  return readFileSync(new URL(name, folder), "utf8");
}

/** An example of a page. */
export interface Example {
  /** The page. */
  readonly page: string;
  /** Its bytes, without remarks. */
  readonly bytes: Uint8Array;
}

/** A block of examples: groups of hexadecimal digits, then, after two spaces, a remark. */
const EXAMPLE = /^```hex(.*)\n([^]*?)^```$/gm;
const EXAMPLE_LINE = /^([0-9a-f]{2})+( ([0-9a-f]{2})+)*( {2}.*)?$/;

/** All examples of all pages, by their names. @throws {Error} for one that breaks the notation, or a name that is there twice. */
export function readExamples(): Map<string, Example> {
  const examples = new Map<string, Example>();
  for (const page of pages) {
    for (const [, rawName, body] of readPage(page).matchAll(EXAMPLE)) {
      const name = rawName!.trim();
      if (name === "" || examples.has(name)) {
        throw new Error(`${page}: an example needs a name of its own, not "${name}"`);
      }
      const lines = body!.split("\n").filter((line) => line.trim() !== "");
      const odd = lines.find((line) => !EXAMPLE_LINE.test(line));
      if (odd !== undefined) throw new Error(`${page}: ${name}: no digits and remark: ${odd}`);
      const digits = lines.map((line) => line.split("  ")[0]!.replaceAll(" ", "")).join("");
      examples.set(name, { page, bytes: fromHex(digits) });
    }
  }
  return examples;
}

/** The rows of the only table of `page` that begins with the cells of `head`. */
export function readTable(page: string, head: readonly string[]): string[][] {
  const { lines, start } = findTable(page, head);
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((cells) => cells.length === 0);
  return rows.slice(0, end === -1 ? undefined : end);
}

/** The head of the only table of `page` whose first cell is `name`. */
export function tableHead(page: string, name: string): string[] {
  const { lines, start } = findTable(page, [name]);
  return lines[start]!;
}

function findTable(page: string, head: readonly string[]): { lines: string[][]; start: number } {
  const lines = readPage(page).split("\n").map(cellsOf);
  const isHead = (i: number) =>
    head.every((cell, at) => lines[i]![at] === cell) && /^-+$/.test(lines[i + 1]?.[0] ?? "");
  const starts = [...lines.keys()].filter(isHead);
  if (starts.length !== 1) {
    throw new Error(`${page}: ${starts.length} tables with the head ${head.join(", ")}`);
  }
  return { lines, start: starts[0]! };
}

function cellsOf(line: string): string[] {
  if (!line.startsWith("|")) return [];
  return line.split("|").slice(1, -1).map((cell) => cell.trim());
}

/**
 * Writes `docs/spec/numbers.md`: every number of the protocols and limits, from the source that uses it. A test compares.
 *
 *     deno run -A scripts/spec_numbers.ts
 */
import { fileURLToPath } from "node:url";
import { run } from "./run.ts";

/** Where the numbers are, and which page they belong to. */
const SOURCES: readonly (readonly [path: string, page: string])[] = [
  ["transports/udx/constants.ts", "udx"],
  ["dht/rpc/constants.ts", "dht-rpc"],
  ["dht/constants.ts", "hyperdht"],
  ["dht/connect_constants.ts", "hyperdht"],
  ["dht/punch/constants.ts", "hyperdht"],
  ["swarm/constants.ts", "hyperswarm"],
  ["transports/mdns/constants.ts", "mdns"],
  ["core/log/constants.ts", "hypercore"],
  ["core/replication/constants.ts", "hypercore"],
];

const HEAD = `# Numbers

Every constant of the wire, every timer and every limit, as the source has them: \`scripts/spec_numbers.ts\` writes
this page, and a test compares it. What stands under _wire_ both sides must agree on; the rest each side decides for
itself. Names end in their unit. «The reference's» means that the reference has the same number.
`;

const PAGE = new URL("../docs/spec/numbers.md", import.meta.url);

/** The page as it should be, before it is formatted. */
export async function numbersPage(): Promise<string> {
  const parts = await Promise.all(SOURCES.map(([path, page]) => section(path, page)));
  return [HEAD, ...parts].join("\n");
}

async function section(path: string, page: string): Promise<string> {
  const url = new URL(`../${path}`, import.meta.url);
  const values: Readonly<Record<string, unknown>> = await import(url.href);
  const lines = [`## \`${path}\` ([${page}](${page}.md))`, ""];
  let isInTable = false;
  for (const { title, name, text } of entriesOf(Deno.readTextFileSync(url))) {
    if (title !== undefined) {
      lines.push("", `### ${title}`, "");
      isInTable = false;
      continue;
    }
    if (!isInTable) lines.push("| name | value | what |", "| --- | --- | --- |");
    isInTable = true;
    lines.push(`| \`${name}\` | ${show(values[name!])} | ${text!.replaceAll("|", "\\|")} |`);
  }
  return lines.join("\n") + "\n";
}

interface Entry {
  readonly title?: string;
  readonly name?: string;
  readonly text?: string;
}

/** Headings (`// Tuning: requests`, `// --- Wire (source) ---`) and exported constants with their documentation, in order. */
function* entriesOf(source: string): Generator<Entry> {
  const pattern = /^\/\/ (.*)$|(?:^\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^export const (\w+)/gm;
  for (const [, heading, documentation, name] of source.matchAll(pattern)) {
    if (heading !== undefined) yield { title: heading.replaceAll("---", "").trim().replace(/\.$/, "") };
    else yield { name: name!, text: plain(documentation ?? "") };
  }
}

function plain(documentation: string): string {
  return documentation.replaceAll(/\n \* ?/g, " ").replaceAll(/\{@linkcode (\w+)\}/g, "`$1`").trim();
}

function show(value: unknown): string {
  if (typeof value === "number") return value.toLocaleString("en-US");
  if (typeof value === "string") return `\`${value}\``;
  if (Array.isArray(value)) return value.map(show).join("; ");
  return Object.entries(value as object).map(([name, one]) => `${name} ${show(one)}`).join("; ");
}

if (import.meta.main) {
  Deno.writeTextFileSync(PAGE, await numbersPage());
  run(Deno.execPath(), ["fmt", "--quiet", fileURLToPath(PAGE)], { cwd: fileURLToPath(new URL("..", PAGE)) });
}

/** What the documentation refers to exists. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "../harness.ts";

const root = new URL("../../", import.meta.url);

function markdownFiles(): string[] {
  const docs = readdirSync(new URL("docs/", root), { recursive: true }) as string[];
  return ["README.md", "CONTRIBUTING.md", ...docs.map((name) => `docs/${name}`)].filter((name) =>
    name.endsWith(".md")
  );
}

const FOLDERS = "encoding|core|transports|dht|swarm|cli|examples|scripts|tests|docs";
/** A file of this repository between backquotes, `folder/name.ext`. */
const FILE = new RegExp(`\`((?:${FOLDERS})/[\\w/.-]+\\.(?:ts|json|md|mjs))\``, "g");
/** A link, `[text](target)`, that leads to a file. */
const LINK = /\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g;

for (const page of markdownFiles()) {
  test(`${page}: every file and page that it names is there`, () => {
    const text = readFileSync(new URL(page, root), "utf8");
    const here = new URL(page, root);
    const missing = [
      ...[...text.matchAll(FILE)].filter(([, path]) => !existsSync(new URL(path!, root))),
      ...[...text.matchAll(LINK)].filter(([, path]) => !existsSync(new URL(path!, here))),
    ];
    assert.deepEqual(missing.map(([whole]) => whole), []);
  });
}

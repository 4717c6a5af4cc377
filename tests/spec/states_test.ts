/** The tables of states in `docs/spec/` are those of the source, where a machine has one. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "../harness.ts";
import { readTable, tableHead } from "./document.ts";

const MACHINES = [
  ["hyperdht.md", "dial", "dht/connect_machine.ts"],
  ["hyperdht.md", "attempt", "dht/accept_machine.ts"],
  ["blind-relay.md", "upgrade", "dht/relay_upgrade.ts"],
  ["secret-stream.md", "pipe", "core/stream/pipe_state.ts"],
] as const;

type Transitions = Record<string, Record<string, string>>;

/** The object behind `const TABLE`: states to inputs to states. */
function tableIn(path: string): Transitions {
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const body = /^const TABLE[^=]*= \{\n([^]*?)^\};/m.exec(source)?.[1];
  assert.ok(body !== undefined, `${path} has no table`);
  const states = [...body.matchAll(/^ {2}(\w+): \{([^}]*)\},$/gm)];
  return Object.fromEntries(states.map(([, state, inputs]) => {
    const next = [...inputs!.matchAll(/(\w+): "(\w+)"/g)].map(([, input, to]) => [input, to]);
    return [state, Object.fromEntries(next)];
  }));
}

for (const [page, name, path] of MACHINES) {
  test(`${page}: the states of a ${name} are those of ${path}`, () => {
    const [, ...inputs] = tableHead(page, name);
    const shown = readTable(page, [name]).map(([state, ...cells]) => {
      const next = cells.flatMap((cell, i) => cell === "-" ? [] : [[inputs[i]!, cell]]);
      return [state, Object.fromEntries(next)];
    });
    const expected = tableIn(path);
    assert.ok(Object.keys(expected).length >= 4);
    assert.deepEqual(Object.fromEntries(shown), expected);
  });
}

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test } from "../../harness.ts";

/** Why a program cannot be started with few files here, if so. */
function problem(): string | undefined {
  if ("Deno" in globalThis) return "node:net in Deno 2.9 accepts no more once it has run out of files";
  return process.platform === "win32" ? "needs ulimit" : undefined;
}

const MAX_FILES = 60;

function startWithFewFiles(): ChildProcess {
  const flags = process.execArgv.filter((flag) => /strip-types|warning/.test(flag));
  const command = [
    process.execPath,
    ...flags,
    fileURLToPath(new URL("descriptors_child.ts", import.meta.url)),
  ];
  const script = `ulimit -n ${MAX_FILES} && exec "$@"`;
  return spawn("sh", ["-c", script, "sh", ...command], { stdio: ["ignore", "pipe", "inherit"] });
}

test("a listener that runs out of files goes on when there are some again", async () => {
  const child = startWithFewFiles();
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? "{}");
  const linksAre = async (reached: (links: number) => boolean) => {
    for (let links = 0; !reached(links);) links = (await next()).links;
  };
  const port = Number((await next()).address.split(":").at(-1));
  const connect = () => net.connect({ port, host: "127.0.0.1" }).on("error", () => {});

  const many = Array.from({ length: 2 * MAX_FILES }, connect);
  await Promise.allSettled(many.map((socket) => once(socket, "connect")));
  await linksAre((links) => links > 10);
  for (const socket of many) socket.destroy();
  await linksAre((links) => links === 0);
  const one = connect();
  await linksAre((links) => links === 1);
  assert.equal(child.exitCode, null);

  one.destroy();
  const closed = once(child, "close");
  child.kill();
  await closed;
}, { skip: problem() });

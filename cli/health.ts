/**
 * How a long-running command is, as JSON over HTTP on loopback.
 */
import { createServer, type Server } from "node:http";
import { HyphaError } from "../core/runtime/errors.ts";

/** Answers every request on `port` with the result of `health`, until disposed of. @throws {HyphaError} `ADDRESS_IN_USE`. */
export async function serveHealth(port: number, health: () => unknown): Promise<AsyncDisposable> {
  const server: Server = createServer((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify(health())}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new HyphaError("ADDRESS_IN_USE", `Port ${port} of loopback cannot be used for health: try another`, {
          cause,
        }),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Why a request came to nothing, as an error for the caller. */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { OutgoingRequest, RequestFailure } from "./outgoing_request.ts";

/** The error for `reason`; `request` is named in it, if it is one request that failed. */
export function failureError(reason: RequestFailure, request?: OutgoingRequest): ConnectError {
  const to = request === undefined ? "" : ` to ${request.to}`;
  switch (reason) {
    case "timeout":
      return new ConnectError(
        "REQUEST_TIMEOUT",
        `No answer to ${request?.attempts ?? 0} tries of a request${to}: it may be down or behind a firewall`,
      );
    case "suspended":
      return new ConnectError(
        "IO_SUSPENDED",
        `The node was suspended during a request${to}: repeat it after resume`,
      );
    case "overloaded":
      return new ConnectError(
        "LIMIT_EXCEEDED",
        `Too many requests wait before one${to}: wait for some of them`,
      );
    case "cancelled":
    case "closed":
      return new ConnectError("REQUEST_DESTROYED", `The node was closed during a request${to}`);
  }
}

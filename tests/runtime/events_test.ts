/** Typed events. */
import assert from "node:assert/strict";
import { TypedEventTarget } from "../../core/runtime/events.ts";
import { test } from "../harness.ts";

class Door extends TypedEventTarget<{ open: { by: string }; close: number }> {
  open(by: string): void {
    this.emit("open", { by });
  }
  close(count: number): void {
    this.emit("close", count);
  }
}

test("events: each listener gets the payload of its own event", () => {
  const door = new Door();
  const seen: string[] = [];
  door.on("open", (event) => seen.push(`${event.type} ${event.detail.by}`));
  door.on("open", (event) => seen.push(`again ${event.detail.by}`));
  door.on("close", (event) => seen.push(`${event.type} ${event.detail}`));
  door.open("me");
  door.close(3);
  assert.deepEqual(seen, ["open me", "again me", "close 3"]);
});

test("events: a listener leaves by off, by its signal, or after one event", () => {
  const door = new Door();
  const controller = new AbortController();
  const seen: string[] = [];
  const removed = () => seen.push("removed");
  door.on("open", removed);
  door.off("open", removed);
  door.on("open", () => seen.push("signal"), { signal: controller.signal });
  door.on("open", () => seen.push("once"), { once: true });
  door.open("me");
  controller.abort();
  door.open("me");
  assert.deepEqual(seen, ["signal", "once"]);
});

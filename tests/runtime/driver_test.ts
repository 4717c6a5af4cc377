/** The loop between a machine, a clock and a socket. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../encoding/address.ts";
import { Driver } from "../../core/runtime/driver.ts";
import type { DatagramMachine, Transmit } from "../../core/runtime/machine.ts";
import { VirtualClock } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";

const PEER = SocketAddress.of("10.0.0.1", 1);

/** Answers each datagram with its bytes, reports it, and wants to be called at `deadline`. */
class EchoMachine implements DatagramMachine<string> {
  readonly calls: string[] = [];
  readonly events: string[] = [];
  readonly answers: Uint8Array[] = [];
  deadline = Infinity;

  handleDatagram(now: number, datagram: Uint8Array): void {
    this.calls.push(`datagram ${datagram[0]} at ${now}`);
    this.answers.push(datagram.slice());
    this.events.push(`got ${datagram[0]}`);
  }

  handleTimeout(now: number): void {
    this.calls.push(`timeout at ${now}`);
    this.deadline = Infinity;
    this.events.push("timeout");
  }

  nextTimeout(): number {
    return this.deadline;
  }

  pollEvent(): string | undefined {
    return this.events.shift();
  }

  pollTransmit(_now: number, out: Transmit): boolean {
    const answer = this.answers.shift();
    if (answer === undefined) return false;
    out.buffer.set(answer);
    out.length = answer.length;
    out.to = PEER;
    return true;
  }
}

function drive(react: (event: string, driver: Driver<string>, machine: EchoMachine) => void = () => {}) {
  const clock = new VirtualClock();
  const machine = new EchoMachine();
  const log: string[] = [];
  const hooks = {
    send: (transmit: Transmit) => log.push(`sent ${transmit.buffer[0]}`),
    onEvent: (event: string) => {
      log.push(event);
      react(event, driver, machine);
    },
  };
  const transmit: Transmit = { buffer: new Uint8Array(8), length: 0, to: PEER, ttl: 0 };
  const driver = new Driver<string>(machine, clock, hooks, transmit);
  return { clock, machine, log, driver };
}

test("driver: many datagrams of one turn make one pass, at its end", () => {
  const { clock, log, driver } = drive();
  driver.handleDatagram(Uint8Array.of(1), PEER);
  driver.handleDatagram(Uint8Array.of(2), PEER);
  assert.deepEqual(log, []);
  assert.equal(clock.pending, 1);
  clock.run();
  assert.deepEqual(log, ["sent 1", "sent 2", "got 1", "got 2"]);
});

test("driver: what an event handler makes the machine send goes out in the same turn", () => {
  const { clock, log, driver } = drive((event, _driver, machine) => {
    if (event === "got 1") machine.answers.push(Uint8Array.of(9));
  });
  driver.handleDatagram(Uint8Array.of(1), PEER);
  clock.step();
  assert.deepEqual(log, ["sent 1", "got 1", "sent 9"]);
  assert.equal(clock.pending, 0);
});

test("driver: a datagram handled inside of an event is answered too", () => {
  const { clock, log, driver } = drive((event, driver) => {
    if (event === "got 1") driver.handleDatagram(Uint8Array.of(2), PEER);
  });
  driver.handleDatagram(Uint8Array.of(1), PEER);
  clock.run();
  assert.deepEqual(log, ["sent 1", "got 1", "sent 2", "got 2"]);
});

test("driver: the machine is called at its deadline, which may move both ways", () => {
  const { clock, machine, log, driver } = drive();
  for (const deadline of [50, 20, 70]) {
    machine.deadline = deadline;
    driver.wake();
    clock.step();
  }
  clock.run();
  assert.deepEqual(machine.calls, ["timeout at 70"]);
  assert.deepEqual(log, ["timeout"]);
});

test("driver: after close nothing is asked of the machine, and no timer is left", () => {
  const { clock, machine, log, driver } = drive();
  machine.deadline = 10;
  driver.wake();
  clock.step();
  driver.handleDatagram(Uint8Array.of(1), PEER);
  driver.close();
  driver.handleDatagram(Uint8Array.of(2), PEER);
  driver.wake();
  clock.run();
  assert.deepEqual(machine.calls, ["datagram 1 at 0"]);
  assert.deepEqual(log, []);
  assert.equal(clock.pending, 0);
});

test("driver: closing from an event handler ends the turn", () => {
  const { clock, log, driver } = drive((event, driver) => {
    if (event === "got 1") driver.close();
  });
  driver.handleDatagram(Uint8Array.of(1), PEER);
  driver.handleDatagram(Uint8Array.of(2), PEER);
  clock.run();
  assert.deepEqual(log, ["sent 1", "sent 2", "got 1"]);
  assert.equal(clock.pending, 0);
});

test("driver: closing while sending ends the turn", () => {
  const clock = new VirtualClock();
  const machine = new EchoMachine();
  let sent = 0;
  const driver = new Driver<string>(machine, clock, {
    send: () => {
      sent++;
      driver.close();
    },
    onEvent: () => assert.fail("an event after close"),
  }, { buffer: new Uint8Array(8), length: 0, to: PEER, ttl: 0 });
  driver.handleDatagram(Uint8Array.of(1), PEER);
  driver.handleDatagram(Uint8Array.of(2), PEER);
  clock.run();
  assert.equal(sent, 1);
});

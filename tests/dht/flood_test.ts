/** Floods of handshakes against a whole node, at 2,000 a second; longer and harder ones are `deno task sim floods`. */
import assert from "node:assert/strict";
import { MAX_HALF_OPEN_SOCKETS } from "../../dht/punch/constants.ts";
import { test } from "../harness.ts";
import { type HandshakeFlood, runHandshakeFlood } from "../sim/scenarios/handshake_flood.ts";

const FLOOD = { seed: "test", perSecond: 2000, sources: 400, seconds: 2, honest: 20 } as const;

for (const way of ["direct", "relayed"] as const) {
  for (const kind of ["valid", "garbage", "replay"] as const) {
    const what =
      { valid: "valid handshakes with fresh keys", garbage: "garbage", replay: "one handshake" }[kind];
    test(`D4 D5 under 2,000 times ${what} a second, ${way}, 19 of 20 honest peers connect and nothing is left`, async () => {
      const flood: HandshakeFlood = { ...FLOOD, way, kind };
      const report = await runHandshakeFlood(flood);
      assert.ok(report.connected >= 19, report.failures.join("\n"));
      assert.equal(report.false, 0, "connections that nobody has proven");
      const most = 2 + MAX_HALF_OPEN_SOCKETS + report.connected;
      assert.ok(report.sockets <= most, `${report.sockets} sockets`);
      assert.equal(report.left, 0, "sockets that stay open");
      assert.ok(report.amplification <= 3, `${report.amplification} bytes for one`);
      const { flooded, forged, copies, unproven } = report.counters;
      assert.ok(forged + unproven <= 3 * 512, "looked into");
      assert.ok({ valid: flooded, garbage: forged, replay: copies }[kind] > 300, "the flood arrives");
    });
  }
}

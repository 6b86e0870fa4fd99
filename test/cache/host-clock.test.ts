import { describe, expect, test } from "vitest";
import { HostClock } from "../../src/proxmox/api/host-clock.ts";

const stamp = (ms: number) => Math.floor(ms / 1_000) * 1_000;

describe("a host's clock", () => {
  test("is ours as long as no answer told", () => {
    expect(new HostClock().aheadMs).toBe(0);
  });

  test.each([0, 3_400, -12_700])(
    "that is %i ms ahead is known ever better, and never taken to be further ahead than it is",
    (ahead) => {
      const clock = new HostClock();
      for (let now = 0; now < 20_000; now += 370) {
        clock.heard(stamp(now + ahead), now - 20, now);
        expect(clock.aheadMs).toBeLessThanOrEqual(ahead);
        expect(clock.aheadMs).toBeGreaterThan(ahead - 1_000);
      }
      expect(clock.aheadMs).toBeGreaterThan(ahead - 50);
    },
  );

  test("that was set is told anew", () => {
    const clock = new HostClock();
    for (let now = 0; now < 5_000; now += 370) clock.heard(stamp(now + 60_000), now, now);
    for (const ahead of [-60_000, 90_000]) {
      clock.heard(stamp(10_000 + ahead), 10_000, 10_000);
      expect(clock.aheadMs).toBe(ahead);
    }
  });
});

import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { beforeEach, describe, expect, test } from "vitest";
import { addGuest } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const tokens = (value: unknown) => encode(JSON.stringify(value)).length;

describe("a dry run of many guests", () => {
  test("stays within 2,000 tokens, as text and as data, and tells of each what it would do", async () => {
    const { simulator } = server;
    const vmids = Array.from({ length: 50 }, (_, index) => 700 + index);
    for (const vmid of vmids) {
      const runningSince = server.clock.now();
      addGuest(simulator.world, { vmid, name: `worker-${vmid}`, node: "pve1", runningSince });
    }
    simulator.outside.lock(749, "backup");
    await server.clock.advance(20_000);
    const guests = vmids.map(String);
    const { data, text } = await server.call("restart_guest", { guests, dry_run: true });
    expect(tokens(data)).toBeLessThanOrEqual(2_000);
    expect(encode(text).length).toBeLessThanOrEqual(2_000);
    const results = data["results"] as { vmid: number; plan: Record<string, unknown> }[];
    expect(results.map(({ vmid }) => vmid)).toEqual(vmids);
    expect(results[0]).toMatchObject({
      node: "pve1",
      changed: false,
      plan: {
        says: "shuts down and starts again VM 700 (worker-700) on pve1",
        sends: ["POST /nodes/pve1/qemu/700/status/reboot"],
      },
    });
    expect(results[49]?.plan).toMatchObject({ against: [{ kind: "locked" }] });
    expect(text).toContain("Not sent: shuts down and starts again VM 749");
    expect(text).toContain("Against it: locked");
    expect(simulator.log.changes()).toEqual([]);
  });

  test("of one, in a list, has the whole plan", async () => {
    const { data } = await server.call("restart_guest", { guests: ["web-1"], dry_run: true });
    const [one] = data["results"] as { plan: Record<string, unknown> }[];
    expect(one?.plan).toMatchObject({ requests: [{ method: "POST" }], against: [] });
  });
});

test("a long value stands in a plan by its beginning, with its length", async () => {
  const set = { description: "word ".repeat(1_600) };
  const args = { guest: "310", set, dry_run: true };
  const { data, text } = await server.call("update_guest", args);
  const { requests } = data["plan"] as { requests: { params: { description: string } }[] };
  expect(requests[0]?.params.description).toMatch(/^word word .{190,200}… \(8000 characters\)$/);
  expect(tokens(data)).toBeLessThanOrEqual(500);
  expect(text.length).toBeLessThan(2_000);
});

test("what Proxmox says and the next step are two sentences", async () => {
  server = await lab({ wrongOnPurpose: true });
  const { text } = await server.call("update_guest", { guest: "311", set: { swap: -5 } });
  expect(text).toMatch(/Proxmox says: .*[^.]\. Correct the parameters/);
});

import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const details = ["pending", "agent", "snapshots", "backups", "ha", "firewall"];
const isoNow = () => new Date(server.clock.now()).toISOString();

/** The tool, a guest of pve3, and how the node falls silent. */
const cases = [
  ["get_vm", { vm: "web-3" }, "offline"],
  ["get_container", { container: "ntp-1" }, "offline"],
  ["get_vm", { vm: "web-3" }, "does not answer"],
] as const;

async function silence(how: string): Promise<void> {
  if (how === "offline") {
    await server.clock.advance(20_000);
    server.simulator.outside.nodeDown("pve3");
  } else server.simulator.faults.hang({ path: /^\/nodes\/pve3\// });
}

describe.each(cases)("%s %j whose node %s", (tool, guest, how) => {
  test("says when the node was last seen", async () => {
    await server.call("list_guests");
    const seenAt = isoNow();
    await silence(how);
    const { data, text } = await server.call(tool, guest);
    expect(data["degraded"]).toContain(`node pve3 ${how === "offline" ? "is offline" : how}`);
    expect(data["last_seen"]).toBe(seenAt);
    expect(text).toContain(`(last seen ${seenAt.slice(0, 19)}Z)`);
  });

  test("names each detail that can't be had, why, and tells what others know; it asks nothing in vain", async () => {
    await server.call("list_guests");
    await silence(how);
    const mark = server.simulator.log.mark();
    const { data, text } = await server.call(tool, { ...guest, include: details });
    const told = data["details"] as Readonly<Record<string, Record<string, unknown>>>;
    expect(Object.keys(told)).toEqual(details);
    for (const name of details.filter((name) => name !== "ha")) {
      const why = how === "offline" ? "Node pve3 is offline." : "Node pve3 does not answer.";
      expect(told[name]).toMatchObject({ unavailable: why, next: expect.any(String) });
      expect(text).toContain(`${name}: not available: ${why}`);
    }
    expect(told["ha"]).toHaveProperty("managed");
    const asked = server.simulator.log.paths(mark).filter((path) => path.includes("/nodes/pve3/"));
    expect(asked).toHaveLength(how === "offline" ? 0 : 1);
  });
});

test("a guest whose node was never seen online has no such time", async () => {
  server.simulator.outside.nodeDown("pve3");
  await server.clock.advance(1_000);
  const { data } = await server.call("get_vm", { vm: 103 });
  expect(data["degraded"]).toContain("pve3");
  expect(data).not.toHaveProperty("last_seen");
});

test("a node that answers again is asked for all", async () => {
  await server.call("list_guests");
  server.simulator.outside.nodeDown("pve3");
  await server.clock.advance(11_000);
  await server.call("get_vm", { vm: "web-3", include: details });
  server.simulator.outside.nodeUp("pve3");
  await server.clock.advance(20_000);
  const { data } = await server.call("get_vm", { vm: "web-3", include: ["snapshots"] });
  expect(data).not.toHaveProperty("degraded");
  expect(data).not.toHaveProperty("last_seen");
  expect(data["details"]).toEqual({ snapshots: expect.any(Array) });
});

test("get_node of a node that does not answer says what was last known", async () => {
  await server.call("list_guests");
  server.simulator.faults.hang({ path: /^\/nodes\/pve3\// });
  const { data, kind } = await server.call("get_node", { node: "pve3" });
  expect(kind).toBe("");
  expect(data["degraded"]).toContain("pve3");
});

import { beforeEach, describe, expect, test } from "vitest";
import type { Snapshot } from "../../src/simulator/world.ts";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const guest = (vmid: number) => guestOf(server.simulator.world, vmid);

const names = () => guest(101).snapshots.map(({ name }) => name);

/** A snapshot of web-1 that was taken this many hours ago (or is to be, by a clock that was set back meanwhile). */
function put(name: string, hoursAgo: number, more: Partial<Snapshot> = {}) {
  const snaptime = Math.floor(server.clock.now() / 1000) - hoursAgo * 3_600;
  guest(101).snapshots.push({ name, snaptime, description: "", config: {}, ...more });
}

async function keep(count: number, args: Record<string, unknown> = {}) {
  const mark = server.simulator.log.mark();
  const answer = await server.call("create_snapshot", { guest: "web-1", keep: count, ...args });
  const sent = server.simulator.log.since(mark).filter(({ method }) => method === "DELETE");
  return { ...answer, removals: sent.length };
}

describe("what keep removes", () => {
  test("is never the new one, though others bear later stamps and times", async () => {
    put("auto-20300101-000000", -1);
    put("auto-20300102-000000", -2);
    const planned = await keep(1, { dry_run: true });
    expect(planned.data["plan"]).toMatchObject({
      removes: ["auto-20300101-000000", "auto-20300102-000000"],
    });
    const { data } = await keep(1);
    expect(names()).toEqual([data["snapshot"]]);
    expect(data["removed"]).toEqual(["auto-20300101-000000", "auto-20300102-000000"]);
  });

  test("is what Proxmox took first, whatever the names say", async () => {
    put("auto-20250101-000000", 1);
    put("auto-20250103-000000", 3);
    put("auto-20250102-000000", 2);
    const { data } = await keep(2);
    expect(data["removed"]).toEqual(["auto-20250103-000000", "auto-20250102-000000"]);
    expect(names()).toEqual(["auto-20250101-000000", data["snapshot"]]);
  });

  test("is nothing of another series, however alike its names are", async () => {
    const others = ["cron-20250101-000000", "AUTO-20250101-000000", "auto-20250101-000000-old"];
    for (const name of [...others, "auto-20250102-000000"]) put(name, 2);
    const { data, removals } = await keep(1);
    expect(removals).toBe(1);
    expect(data["removed"]).toEqual(["auto-20250102-000000"]);
    expect(names()).toEqual([...others, data["snapshot"]]);
  });

  test.each(["prepare", "delete"] as const)(
    "is nothing that is only half there (%s): it does not count, and is told of",
    async (snapstate) => {
      put("auto-20250101-000000", 3);
      put("auto-20250102-000000", 2, { snapstate });
      put("auto-20250103-000000", 1);
      const half = `Snapshot auto-20250102-000000 is unfinished (${snapstate})`;
      const planned = await keep(2, { dry_run: true });
      expect(planned.data["plan"]).toMatchObject({ removes: ["auto-20250101-000000"] });
      expect(planned.text).toContain(half);
      const { data, text, removals } = await keep(2);
      expect(removals).toBe(1);
      expect(data["removed"]).toEqual(["auto-20250101-000000"]);
      expect(names()).toEqual(["auto-20250102-000000", "auto-20250103-000000", data["snapshot"]]);
      expect(text).toContain(half);
      expect(text).toContain('delete_snapshot {guest: "101", name: "auto-20250102-000000"}');
    },
  );

  test("is nothing where the new one is only half there", async () => {
    put("auto-20250101-000000", 1);
    const begun = await keep(1, { wait_s: 0 });
    const body = JSON.stringify({
      data: [
        { name: "auto-20250101-000000", snaptime: 1 },
        { name: begun.data["snapshot"], snaptime: 2, snapstate: "prepare" },
      ],
    });
    const headers = { "content-type": "application/json" };
    const path = /snapshot$/;
    server.simulator.faults.reply({ status: 200, headers, body }, { method: "GET", path });
    await server.clock.advance(60_000);
    expect(names()).toEqual(["auto-20250101-000000", begun.data["snapshot"]]);
  });
});

test("an answer that got lost removes nothing, and that is said", async () => {
  put("auto-20250101-000000", 2);
  server.simulator.faults.cutAfterWorld({ method: "POST", path: /snapshot$/ });
  const { kind, text, facts, removals } = await keep(1);
  expect(kind).toBe("outcome_unknown");
  expect(text).toContain("Nothing was removed for keep");
  expect(text).toContain('include: ["snapshots"]');
  expect(facts["removed"]).toEqual([]);
  await server.clock.advance(60_000);
  expect(removals).toBe(0);
  expect(names()).toEqual(["auto-20250101-000000", facts["snapshot"]]);
});

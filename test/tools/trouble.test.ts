import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const clone = { vm: "debian-13-template", name: "new-1" };

describe("a change whose answer is lost", () => {
  test.each(["cutAfterWorld", "cutBeforeWorld"] as const)(
    "start_guest with %s is sent once and says how to check",
    async (fault) => {
      await server.call("get_vm", { vm: "staging-web-2" });
      server.simulator.faults[fault]({ method: "POST" });
      const answer = await server.call("start_guest", { guest: "staging-web-2" });
      expect(answer.kind).toBe("outcome_unknown");
      expect(answer.text).toContain("get_tasks");
      expect(answer.text).toContain("get_vm");
      expect(server.simulator.log.changes()).toHaveLength(1);
      await server.clock.advance(60_000);
      expect(server.simulator.log.changes()).toHaveLength(1);
    },
  );

  test.each(["cutAfterWorld", "cutBeforeWorld"] as const)(
    "the next read after %s is live and tells what has happened",
    async (fault) => {
      await server.call("get_vm", { vm: "staging-web-2" });
      server.simulator.faults[fault]({ method: "POST", times: 1 });
      await server.call("start_guest", { guest: "staging-web-2" });
      await server.clock.advance(3_000);
      const mark = server.simulator.log.mark();
      const { data } = await server.call("get_vm", { vm: "staging-web-2" });
      expect(server.simulator.log.paths(mark)).toContain("GET /nodes/pve2/qemu/302/config");
      expect(data["status"]).toBe(fault === "cutAfterWorld" ? "running" : "stopped");
    },
  );

  test.each(["cutAfterWorld", "cutBeforeWorld"] as const)(
    "clone_vm with %s is sent once, and its name is not taken for free",
    async (fault) => {
      server.simulator.faults[fault]({ method: "POST", path: /clone$/, times: 1 });
      const answer = await server.call("clone_vm", clone);
      expect(answer.kind).toBe("outcome_unknown");
      expect(answer.text).toContain("get_vm");
      expect(server.simulator.log.changes()).toHaveLength(1);
      await server.clock.advance(46_000);
      const made = [...server.simulator.world.guests.values()].filter(
        ({ config }) => config["name"] === "new-1",
      );
      expect(made).toHaveLength(fault === "cutAfterWorld" ? 1 : 0);
      const again = await server.call("clone_vm", clone);
      expect(again.kind).toBe(fault === "cutAfterWorld" ? "conflict" : "");
      expect(server.simulator.log.count({ method: "POST" })).toBe(
        fault === "cutAfterWorld" ? 1 : 2,
      );
    },
  );

  test("delete_guest: whether it happened is told by the next read", async () => {
    server.simulator.faults.cutAfterWorld({ method: "DELETE", times: 1 });
    const answer = await server.call("delete_guest", { guest: "build-2", confirm: "build-2" });
    expect(answer.kind).toBe("outcome_unknown");
    await server.clock.advance(1_000);
    expect((await server.call("get_vm", { vm: "build-2" })).kind).toBe("not_found");
    expect(server.simulator.log.changes()).toHaveLength(1);
  });

  test("an answer that never comes ends in outcome_unknown after one sending", async () => {
    server.simulator.faults.hangAfterWorld({ method: "POST" });
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.kind).toBe("outcome_unknown");
    expect(server.simulator.log.changes()).toHaveLength(1);
    expect((await server.call("get_vm", { vm: "staging-web-2" })).data["status"]).toBe("running");
  });
});

describe("what is repeated", () => {
  test("a read that is cut twice succeeds at the third try", async () => {
    server.simulator.faults.cutBeforeWorld({ method: "GET", path: /qemu\/101\/config/, times: 2 });
    const answer = await server.call("get_vm", { vm: "web-1" });
    expect(answer.data).toMatchObject({ vmid: 101 });
    expect(server.simulator.log.count({ path: /qemu\/101\/config/ })).toBe(3);
  });

  test("a change that never left, since nobody listened", async () => {
    server.simulator.faults.refuse({ method: "POST", times: 2 });
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.data).toMatchObject({ status: "running", changed: true });
    const sent = server.simulator.log.changes();
    expect(sent.map(({ arrived }) => arrived)).toEqual([false, false, true]);
  });

  test("a change that can't leave at all says that nothing was sent", async () => {
    server.simulator.faults.refuse({ method: "POST" });
    const answer = await server.call("start_guest", { guest: "staging-web-2" });
    expect(answer.kind).toBe("unreachable");
    expect(answer.text).toContain("nothing was sent");
    expect(server.simulator.log.changes().some(({ arrived }) => arrived)).toBe(false);
  });

  test("an error is not remembered: the next call asks again", async () => {
    const mend = server.simulator.faults.cutBeforeWorld({ path: /qemu\/101\/config/ });
    const failed = await server.call("get_vm", { vm: "web-1" });
    expect(failed.data["degraded"] ?? failed.kind).toBeTruthy();
    mend();
    const { data } = await server.call("get_vm", { vm: "web-1" });
    expect(data["degraded"]).toBeUndefined();
    expect(data["config"]).toBeDefined();
  });
});

describe("calls that are cancelled while they wait for their turn", () => {
  test("fifty changes: none of them is sent", async () => {
    server.simulator.faults.hang({ method: "GET", path: /\/(config|status\/current)$/ });
    const vmids = [...server.simulator.world.guests.keys()];
    const fill = vmids.slice(0, 20).map((vm) => server.begin("get_vm", { vm, max_age_s: 0 }));
    const filled = Promise.allSettled(fill);
    await server.clock.advance(0);
    const cancel = new AbortController();
    const calls = Array.from({ length: 50 }, (_, index) =>
      server.begin(
        index % 2 ? "start_guest" : "stop_guest",
        { guest: vmids[index % vmids.length] },
        { signal: cancel.signal },
      ),
    );
    const given = Promise.allSettled(calls);
    await server.clock.advance(100);
    const mark = server.simulator.log.mark();
    cancel.abort();
    expect((await server.clock.run(given)).every(({ status }) => status === "rejected")).toBe(true);
    server.simulator.faults.clear();
    await server.clock.advance(120_000);
    await server.clock.run(filled);
    expect(server.simulator.log.changes()).toEqual([]);
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("fifty changes whose own request is queued behind others: none of them is sent", async () => {
    server.simulator.faults.hang({ method: "POST" });
    const cancel = new AbortController();
    for (let vmid = 600; vmid < 650; vmid++) {
      server.simulator.outside.create({ vmid, name: `many-${vmid}`, node: "pve1" });
    }
    await server.clock.advance(11_000);
    const calls = Array.from({ length: 50 }, (_, index) =>
      server.begin("start_guest", { guest: 600 + index }, { signal: cancel.signal }),
    );
    const given = Promise.allSettled(calls);
    await server.clock.advance(100);
    const before = server.simulator.log.changes().length;
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThanOrEqual(4);
    cancel.abort();
    await server.clock.run(given);
    server.simulator.faults.clear();
    await server.clock.advance(120_000);
    expect(server.simulator.log.changes()).toHaveLength(before);
    expect(server.simulator.log.changes().some(({ arrived }) => arrived)).toBe(false);
  });

  test("a reader that gives up does not take the answer from the others", async () => {
    server.simulator.faults.delay(2_000, { path: /qemu\/101\/config/, times: 1 });
    const cancel = new AbortController();
    const first = server.begin("get_vm", { vm: "web-1" }, { signal: cancel.signal });
    const given = first.catch(() => "cancelled");
    const second = server.begin("get_vm", { vm: "web-1" });
    await server.clock.advance(100);
    cancel.abort();
    expect(await given).toBe("cancelled");
    expect((await server.clock.run(second)).data["vmid"]).toBe(101);
    expect(server.simulator.log.count({ path: /qemu\/101\/config/ })).toBe(1);
  });
});

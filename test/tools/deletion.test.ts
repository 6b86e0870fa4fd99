import { beforeEach, describe, expect, test } from "vitest";
import type { Transport } from "../../src/http/transport.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const target = { guest: "build-2", confirm: "build-2" };

/** One guest of a list, by its vmid. */
async function listed(vmid: number) {
  const { data } = await server.call("list_guests", { limit: 100 });
  return (data["guests"] as { vmid: number; lock?: string }[]).find((row) => row.vmid === vmid);
}

describe("after delete_guest has ended", () => {
  test.each(["build-2", "212", "qemu/212"])("get_vm %s is not_found", async (vm) => {
    await server.call("get_vm", { vm: "build-2" });
    await server.call("list_guests");
    const deleted = await server.call("delete_guest", target);
    expect(deleted.data).toMatchObject({ vmid: 212, status: "deleted", changed: true });
    expect((await server.begin("get_vm", { vm })).kind).toBe("not_found");
    expect(await listed(212)).toBeUndefined();
  });

  test("the other guests' answers stay right and in memory", async () => {
    await server.call("get_vm", { vm: "build-1" });
    await server.call("delete_guest", target);
    const mark = server.simulator.log.mark();
    const { data } = await server.call("get_vm", { vm: "build-1" });
    expect(data).toMatchObject({ vmid: 211, name: "build-1", status: "running" });
    expect(server.simulator.log.paths(mark)).not.toContain("GET /nodes/pve3/qemu/211/config");
  });

  test("a guest that takes the vmid is shown with its own name", async () => {
    await server.call("get_vm", { vm: "build-2" });
    await server.call("delete_guest", target);
    server.simulator.outside.create({ vmid: 212, name: "other", node: "pve3", type: "lxc" });
    await server.clock.advance(10_001);
    expect((await server.call("get_container", { container: 212 })).data["name"]).toBe("other");
    expect((await server.call("get_vm", { vm: "build-2" })).kind).toBe("not_found");
  });
});

/** A wire on which answers that fit, once armed, arrive this much later than PVE gave them. */
function slowAnswers(fits: RegExp, ms: number) {
  const slow = { armed: false };
  const wire = (simulator: Lab["simulator"], clock: Lab["clock"]): Transport => ({
    send: async (request) => {
      const held = slow.armed && request.method === "GET" && fits.test(request.path);
      if (held) slow.armed = false;
      const reply = await simulator.send(request);
      if (held) await clock.sleep(ms);
      return reply;
    },
    close: () => simulator.close(),
  });
  return { slow, wire };
}

describe("a lookup that was under way when the deletion was accepted", () => {
  test.each([
    ["configuration", /qemu\/212\/config$/, 100],
    ["configuration, past the end of the task,", /qemu\/212\/config$/, 4_000],
    ["rows", /\/cluster\/resources$/, 100],
    ["rows, past the end of the task,", /\/cluster\/resources$/, 4_000],
  ])("does not answer with the %s from before", async (_, fits, ms) => {
    const { slow, wire } = slowAnswers(fits, ms);
    server = await lab({ wire });
    await server.call("list_guests");
    await server.clock.advance(1_000);
    slow.armed = true;
    const lookup = server.begin("get_vm", { vm: "build-2", max_age_s: 0 });
    await server.clock.advance(0);
    expect(slow.armed).toBe(false);
    const deleted = server.begin("delete_guest", target);
    const [late, done] = await server.clock.run(Promise.all([lookup, deleted]));
    expect(done.data["status"]).toBe("deleted");
    // At the time of its answer the guest was being destroyed, or gone: never as it was before.
    const truth = late.kind === "" ? late.data["lock"] : late.kind;
    expect(ms < 4_000 ? ["destroyed", "not_found"] : ["not_found"]).toContain(truth);
    expect((await server.begin("get_vm", { vm: "build-2" })).kind).toBe("not_found");
  });

  test("and whoever joins it afterwards is not answered from it either", async () => {
    await server.call("list_guests");
    server.simulator.faults.hang({ method: "GET", path: /qemu\/212\/config$/, times: 1 });
    const stuck = server.begin("get_vm", { vm: "build-2" });
    await server.clock.advance(0);
    const done = await server.call("delete_guest", target);
    expect(done.data["status"]).toBe("deleted");
    expect((await server.begin("get_vm", { vm: "build-2" })).kind).toBe("not_found");
    await server.clock.run(stuck);
  });
});

describe("while a deletion runs that nobody waits for", () => {
  test("get_vm and list_guests show the guest with the lock destroyed", async () => {
    await server.call("list_guests");
    const begun = await server.call("delete_guest", { ...target, wait_s: 0 });
    expect(begun.data).toMatchObject({ changed: true, task: { state: "running" } });
    expect(begun.text).toContain(String(begun.data["upid"]));
    await server.clock.advance(100);
    const { data } = await server.begin("get_vm", { vm: "build-2" });
    expect(data).toMatchObject({ vmid: 212, name: "build-2", lock: "destroyed" });
    expect(data["upid"]).toBe(begun.data["upid"]);
    expect(await listed(212)).toMatchObject({ lock: "destroyed" });
  });

  test.each([
    ["get_vm", { vm: "build-2" }, ["config", "current"]],
    ["list_guests", { status: "stopped" }, ["resources"]],
  ])("fifty equal calls of %s at the same moment are one", async (tool, args, reads) => {
    await server.call("list_guests");
    await server.call("delete_guest", { ...target, wait_s: 0 });
    await server.clock.advance(50);
    const mark = server.simulator.log.mark();
    const fifty = Array.from({ length: 50 }, () => server.begin(tool, args));
    await server.clock.run(Promise.all(fifty));
    const read = server.simulator.log.paths(mark).map((path) => path.split("/").at(-1));
    expect(read.toSorted()).toEqual(reads);
  });

  test("rows that were on their way at its end do not hide whom others give the vmid", async () => {
    const { slow, wire } = slowAnswers(/\/cluster\/resources$/, 8_000);
    server = await lab({ wire, latencyMs: 10 });
    await server.call("list_guests");
    await server.call("delete_guest", { ...target, wait_s: 0 });
    while (server.simulator.world.guests.has(212)) await server.clock.advance(1);
    expect(server.simulator.log.count({ path: /\/tasks\// })).toBe(0);
    server.simulator.outside.create({ vmid: 212, name: "newcomer", node: "pve2" });
    slow.armed = true;
    const rows = server.begin("list_guests");
    await server.clock.advance(7_000);
    expect(server.simulator.log.count({ path: /\/tasks\// })).toBeGreaterThan(0);
    const { data } = await server.clock.run(rows);
    const guests = data["guests"] as readonly { readonly vmid: number; readonly node: string }[];
    expect(guests.find(({ vmid }) => vmid === 212)).toMatchObject({ node: "pve2" });
  });

  test("list_guests knows its end at once, though no look at the task has noticed it", async () => {
    await server.call("list_guests");
    await server.call("delete_guest", { ...target, wait_s: 0 });
    await server.clock.advance(240);
    for (let step = 0; server.simulator.world.guests.has(212); step++) {
      expect(await listed(212), `after ${step} steps`).toMatchObject({ vmid: 212 });
      await server.clock.advance(1);
    }
    expect(server.simulator.log.count({ path: /\/tasks\// })).toBe(0);
    expect(await listed(212)).toBeUndefined();
  });

  test("its end is known at once, though no look at the task has noticed it", async () => {
    await server.call("get_vm", { vm: "build-2" });
    await server.call("delete_guest", { ...target, wait_s: 0 });
    await server.clock.advance(240);
    for (let step = 0; server.simulator.world.guests.has(212); step++) {
      const { data } = await server.begin("get_vm", { vm: "build-2" });
      expect(data["vmid"], `after ${step} steps`).toBe(212);
      await server.clock.advance(1);
    }
    const looks = server.simulator.log.count({ path: /\/tasks\// });
    expect((await server.begin("get_vm", { vm: "build-2" })).kind).toBe("not_found");
    expect((await server.begin("get_vm", { vm: 212 })).kind).toBe("not_found");
    expect(await listed(212)).toBeUndefined();
    expect(server.simulator.log.count({ path: /\/tasks\// })).toBe(looks);
  });
});

describe("a deletion that fails", () => {
  test("answers task_failed with its log, and the guest is read live afterwards", async () => {
    const clone = await server.call("clone_vm", { vm: "debian-13-template", name: "child" });
    expect(clone.kind).toBe("");
    const args = { guest: "debian-13-template", confirm: "debian-13-template" };
    const failed = await server.call("delete_guest", args);
    expect(failed.kind).toBe("task_failed");
    expect(failed.text).toContain("still in use by linked clone");
    expect(failed.facts["log"]).toEqual(
      expect.arrayContaining([expect.stringMatching(/^TASK ERROR/)]),
    );
    const mark = server.simulator.log.mark();
    const after = await server.call("get_vm", { vm: "debian-13-template" });
    expect(after.data).toMatchObject({ vmid: 9000, template: true });
    expect(after.data["lock"]).toBeUndefined();
    expect(server.simulator.log.paths(mark)).toContain("GET /nodes/pve1/qemu/9000/config");
  });

  test("without the right confirmation sends nothing", async () => {
    for (const confirm of [undefined, "build-1", "BUILD-2", "212", ""]) {
      const args = { guest: "build-2", ...(confirm === undefined ? {} : { confirm }) };
      const answer = await server.call("delete_guest", args);
      expect(answer.kind).toBe("confirmation_required");
      expect(answer.text).toContain('confirm: "build-2"');
    }
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("of a running guest names the way to stop it and sends nothing", async () => {
    const answer = await server.call("delete_guest", { guest: "web-1", confirm: "web-1" });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("stop_guest");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("a deletion that is asked for again", () => {
  test.each([0, 10, 60])("%i ms later is sent once, and both hear of its end", async (ms) => {
    const server = await lab();
    await server.call("get_vm", { vm: "staging-web-2" });
    const mark = server.simulator.log.mark();
    const args = { guest: "staging-web-2", confirm: "staging-web-2" };
    const first = server.begin("delete_guest", args);
    if (ms > 0) await server.clock.advance(ms);
    const second = server.begin("delete_guest", { ...args, guest: "302" });
    const answers = await server.clock.run(Promise.all([first, second]));
    expect(server.simulator.log.changes(mark)).toHaveLength(1);
    for (const answer of answers)
      expect(answer.data).toMatchObject({ vmid: 302, status: "deleted" });
    expect(server.simulator.world.guests.has(302)).toBe(false);
  });

  test("leaves nothing of the guest among the closest names", async () => {
    const server = await lab();
    await server.call("delete_guest", { guest: "302", confirm: "staging-web-2" });
    const answer = await server.call("get_vm", { vm: "302" });
    expect(answer.kind).toBe("not_found");
    expect(JSON.stringify(answer.facts["closest"])).not.toContain("302");
    expect(answer.text).not.toContain("(302)");
  });
});

test("whoever has got its vmid before its end was noticed is not taken for it", async () => {
  await server.call("list_guests");
  const deleted = await server.call("delete_guest", { ...target, wait_s: 0 });
  const { guests } = server.simulator.world;
  while (guests.has(212)) await server.clock.advance(1);
  server.simulator.outside.create({ vmid: 212, name: "successor", node: "pve1" });
  expect(await listed(212)).toBeDefined();
  await server.call("get_tasks", { upid: deleted.data["upid"], wait_s: 30 });
  expect(await listed(212)).toMatchObject({ vmid: 212 });
  expect((await server.call("get_vm", { vm: "successor" })).data).toMatchObject({ vmid: 212 });
});

import { beforeEach, describe, expect, test } from "vitest";
import type { Transport } from "../../src/http/transport.ts";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const template = "debian-13-template";
const named = (name: string) =>
  [...server.simulator.world.guests.values()].filter(({ config }) => config["name"] === name);

describe("what is taken", () => {
  test.each(["web-1", "WEB-1", "dns-1"])("the name %s: conflict, nothing sent", async (name) => {
    const answer = await server.call("clone_vm", { vm: template, name });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("Nothing was sent");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("the vmid: conflict naming whose it is, nothing sent", async () => {
    const answer = await server.call("clone_vm", { vm: template, name: "new-1", vmid: 101 });
    expect(answer.kind).toBe("conflict");
    expect(answer.text).toContain("VM 101 (web-1)");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test.each([
    ["storage", "-rf"],
    ["storage", "../etc"],
    ["pool", "a b"],
    ["pool", "a/b/c/d"],
  ])("what can't be the name of a %s (%s): invalid_input, nothing sent", async (name, value) => {
    const args = { vm: "web-1", name: "new-1", full: true, [name]: value };
    expect((await server.call("clone_vm", args)).kind).toBe("invalid_input");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("a linked clone with a storage: invalid_input, nothing sent", async () => {
    const args = { vm: template, name: "new-1", storage: "local-lvm" };
    expect((await server.call("clone_vm", args)).kind).toBe("invalid_input");
    expect(server.simulator.log.changes()).toEqual([]);
  });
});

describe("several clones at once", () => {
  test("ten of one template get ten vmids, and all are there afterwards", async () => {
    const names = Array.from({ length: 10 }, (_, index) => `many-${index}`);
    const calls = names.map((name) => server.begin("clone_vm", { vm: template, name }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(answers.map(({ text, kind }) => kind && text)).toEqual(Array(10).fill(""));
    const vmids = answers.map(({ data }) => Number(data["vmid"]));
    expect(new Set(vmids).size).toBe(10);
    for (const [index, vmid] of vmids.entries()) {
      expect(server.simulator.world.guests.get(vmid)?.config["name"]).toBe(names[index]);
      const { data } = await server.call("get_vm", { vm: names[index] });
      expect(data).toMatchObject({ vmid, name: names[index] });
    }
    expect(server.simulator.log.count({ method: "POST" })).toBe(10);
  });

  test("two of the same name make exactly one", async () => {
    const call = () => server.begin("clone_vm", { vm: template, name: "new-1" });
    const answers = await server.clock.run(Promise.all([call(), call()]));
    expect(answers.map(({ kind }) => kind).toSorted()).toEqual(["", "conflict"]);
    expect(named("new-1")).toHaveLength(1);
    expect((await server.call("clone_vm", { vm: template, name: "New-1" })).kind).toBe("conflict");
    expect(server.simulator.log.count({ method: "POST" })).toBe(1);
  });

  test("the same name again while the first is under way makes no second", async () => {
    await server.call("clone_vm", { vm: template, name: "new-1", full: true, wait_s: 0 });
    for (const ms of [0, 100, 3_000]) {
      await server.clock.advance(ms);
      const again = await server.call("clone_vm", { vm: template, name: "new-1", wait_s: 0 });
      expect(again.kind).toBe("conflict");
    }
    expect(server.simulator.log.count({ method: "POST" })).toBe(1);
  });

  test("two of the same wished vmid make exactly one", async () => {
    const call = (name: string) => server.begin("clone_vm", { vm: template, name, vmid: 777 });
    const answers = await server.clock.run(Promise.all([call("new-1"), call("new-2")]));
    expect(answers.map(({ kind }) => kind).toSorted()).toEqual(["", "conflict"]);
  });

  test("of one container come one after the other, or say what is under way", async () => {
    const call = (name: string) =>
      server.begin("clone_container", { container: "debian-13-ct-template", name });
    const answers = await server.clock.run(Promise.all([call("ct-1"), call("ct-2")]));
    expect(answers.filter(({ kind }) => kind === "").length).toBeGreaterThanOrEqual(1);
    for (const { kind } of answers) expect(["", "busy"]).toContain(kind);
  });
});

describe("a vmid that others take between the question and the request", () => {
  /** Takes each vmid that a clone is about to ask for, this many times. */
  function thief(times: number): (simulator: Lab["simulator"]) => Transport {
    let left = times;
    return (simulator) => ({
      send: async (request) => {
        const [, newid] = /\bnewid=([0-9]+)/.exec(request.body ?? "") ?? [];
        if (newid !== undefined && left-- > 0) {
          simulator.outside.create({ vmid: Number(newid), name: `thief-${newid}`, node: "pve2" });
        }
        return simulator.send(request);
      },
      close: () => simulator.close(),
    });
  }

  test.each([1, 3])("%i times: the next is taken, one guest is made", async (times) => {
    server = await lab({ wire: thief(times) });
    const answer = await server.call("clone_vm", { vm: template, name: "new-1" });
    expect(answer.text).toContain("is ready");
    const vmid = Number(answer.data["vmid"]);
    expect(server.simulator.world.guests.get(vmid)?.config["name"]).toBe("new-1");
    expect(named("new-1")).toHaveLength(1);
    expect(server.simulator.log.count({ method: "POST" })).toBe(times + 1);
  });

  test("also after Proxmox has answered, when only its worker notices", async () => {
    let left = 2;
    const late = (simulator: Lab["simulator"]): Transport => ({
      send: async (request) => {
        const reply = await simulator.send(request);
        const [, newid] = /\bnewid=([0-9]+)/.exec(request.body ?? "") ?? [];
        if (newid !== undefined && left-- > 0) {
          simulator.outside.create({ vmid: Number(newid), name: `thief-${newid}`, node: "pve2" });
        }
        return reply;
      },
      close: () => simulator.close(),
    });
    server = await lab({ wire: late });
    const answer = await server.call("clone_vm", { vm: template, name: "new-1", start: true });
    expect(answer.text).toContain("is ready");
    const vmid = Number(answer.data["vmid"]);
    expect(server.simulator.world.guests.get(vmid)).toMatchObject({
      config: { name: "new-1", tags: expect.stringContaining("mcp") },
      run: { status: "running" },
    });
    expect(named("new-1")).toHaveLength(1);
    expect((await server.call("get_vm", { vm: "new-1" })).data).toMatchObject({ vmid });
    const thief = server.simulator.world.guests.get(vmid - 1)?.config["name"];
    expect((await server.call("get_vm", { vm: vmid - 1 })).data["name"]).toBe(thief);
  });

  test("a container's too", async () => {
    server = await lab({ wire: thief(1) });
    const args = { container: "debian-13-ct-template", name: "new-1" };
    const answer = await server.call("clone_container", args);
    expect(answer.text).toContain("is ready");
    expect(server.simulator.log.count({ method: "POST" })).toBe(2);
  });

  test("a wished one is not replaced by another", async () => {
    server = await lab({ wire: thief(1) });
    const answer = await server.call("clone_vm", { vm: template, name: "new-1", vmid: 777 });
    expect(answer.kind).toBe("conflict");
    expect(named("new-1")).toEqual([]);
  });
});

describe("a new guest", () => {
  test("is found by its name at once, with the lock of its making", async () => {
    const args = { vm: template, name: "new-1", full: true, wait_s: 0 };
    const begun = await server.call("clone_vm", args);
    for (const ms of [0, 10, 200, 3_000]) {
      await server.clock.advance(ms);
      const { data } = await server.begin("get_vm", { vm: "new-1" });
      expect(data, `after ${ms} ms`).toMatchObject({
        vmid: begun.data["vmid"],
        name: "new-1",
        lock: "clone",
        upid: begun.data["upid"],
      });
    }
    await server.clock.advance(30_000);
    const { data } = await server.call("get_vm", { vm: "new-1" });
    expect(data).toMatchObject({ vmid: begun.data["vmid"], name: "new-1" });
    expect(data["lock"]).toBeUndefined();
  });

  test("carries the tag of this server, and list_guests managed shows it with its name", async () => {
    const made = await server.call("clone_vm", { vm: template, name: "new-1" });
    const { data } = await server.call("list_guests", { managed: true });
    expect(data["guests"]).toMatchObject([{ vmid: made.data["vmid"], name: "new-1" }]);
    const container = { container: "debian-13-ct-template", name: "new-ct" };
    await server.call("clone_container", container);
    const both = await server.call("list_guests", { managed: true });
    expect((both.data["guests"] as { name: string }[]).map(({ name }) => name).toSorted()).toEqual([
      "new-1",
      "new-ct",
    ]);
    expect((await server.call("list_guests", { managed: false, limit: 1 })).data["total"]).toBe(31);
  });

  test("can be started and deleted by its name right away", async () => {
    await server.call("clone_vm", { vm: template, name: "new-1" });
    const started = await server.call("start_guest", { guest: "new-1" });
    expect(started.data).toMatchObject({ name: "new-1", status: "running" });
    await server.call("stop_guest", { guest: "new-1", mode: "stop" });
    const deleted = await server.call("delete_guest", { guest: "new-1", confirm: "new-1" });
    expect(deleted.data).toMatchObject({ status: "deleted" });
    expect((await server.call("get_vm", { vm: "new-1" })).kind).toBe("not_found");
  });

  test("on another node, of shared storage, in a pool", async () => {
    const args = { vm: template, name: "new-1", node: "pve3", pool: "staging" };
    const made = await server.call("clone_vm", args);
    expect(made.data).toMatchObject({ node: "pve3", source: { vmid: 9000, node: "pve1" } });
    const vmid = Number(made.data["vmid"]);
    expect(server.simulator.world.guests.get(vmid)?.node).toBe("pve3");
    const { data } = await server.call("list_guests", { pool: "staging", managed: true });
    expect(data["guests"]).toMatchObject([{ vmid, node: "pve3" }]);
  });

  test("that could not be made leaves nothing: neither its name nor its vmid", async () => {
    server.simulator.faults.reply(
      { status: 500, reason: "disk full" },
      { method: "POST", times: 1 },
    );
    const failed = await server.call("clone_vm", { vm: template, name: "new-1" });
    expect(failed.isError).toBe(true);
    expect((await server.call("get_vm", { vm: "new-1" })).kind).toBe("not_found");
    expect((await server.call("clone_vm", { vm: template, name: "new-1" })).kind).toBe("");
  });
});

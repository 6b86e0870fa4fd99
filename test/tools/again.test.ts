import { describe, expect, test } from "vitest";
import { Shapes } from "../../src/mcp/shapes.ts";
import { type Lab, lab } from "../kit.ts";

/** web-1 was asked for twice, so the next answer can be the one before. */
async function warm(): Promise<Lab> {
  const made = await lab();
  await made.call("get_vm", { vm: "web-1" });
  await made.call("get_vm", { vm: "web-1" });
  return made;
}

describe("a guest that is asked for again", () => {
  test("is answered as before, with its own age and as two hits", async () => {
    const { call, clock, simulator, proxmox } = await warm();
    const before = await call("get_vm", { vm: "web-1" });
    const { hits } = proxmox.cache.counters;
    const mark = simulator.log.mark();
    await clock.advance(3_000);
    const again = await call("get_vm", { vm: "web-1" });
    expect(again.data).toEqual(before.data);
    expect(again.meta).toMatchObject({ ageMs: 3_000, source: "cache", apiCalls: 0 });
    expect(proxmox.cache.counters.hits).toBe(hits + 2);
    expect(simulator.log.count({ since: mark })).toBe(0);
    await clock.advance(6_000);
    expect((await call("get_vm", { vm: "web-1" })).text).toContain("as of 9 s ago");
  });

  test("is asked for anew when its age is over, also where only a sweep had vouched for it", async () => {
    const { call, clock, simulator } = await warm();
    await clock.advance(5_000); // so that the sweeps fall between
    await call("get_container", { container: "dns-1" });
    // Nothing tells of a container's configuration, so it may be told for 120 s, and not for 130.
    simulator.outside.setConfig(200, { cores: "7" });
    for (let second = 0; second < 120; second++) {
      await clock.advance(1_000);
      await call("get_container", { container: "dns-1" });
    }
    await clock.advance(1);
    const { data } = await call("get_container", { container: "dns-1" });
    expect(data["config"]).toMatchObject({ cores: 7 });
  });

  test.each([0, 1])("is as fresh as max_age_s: %i wants it", async (age) => {
    const { call, clock, simulator } = await warm();
    await clock.advance(2_000);
    simulator.outside.setConfig(101, { cores: "7" });
    const { data } = await call("get_vm", { vm: "web-1", max_age_s: age });
    expect(data["config"]).toMatchObject({ cores: 7 });
  });

  test("is what a change of ours has made of it", async () => {
    const { call } = await warm();
    await call("stop_guest", { guest: "web-1", mode: "stop" });
    expect((await call("get_vm", { vm: "web-1" })).data["status"]).toBe("stopped");
    await call("start_guest", { guest: "web-1" });
    expect((await call("get_vm", { vm: "web-1" })).data["status"]).toBe("running");
  });

  test("is read again as soon as anything that it was made of is invalid", async () => {
    const { call, proxmox, simulator } = await warm();
    simulator.outside.setConfig(101, { cores: "7" });
    await proxmox.cache.invalidate(["guest:qemu/101"]);
    expect((await call("get_vm", { vm: "web-1" })).data["config"]).toMatchObject({ cores: 7 });
  });

  test("is ambiguous as soon as another one of that name is expected", async () => {
    const { call, proxmox } = await warm();
    const row = proxmox.lookup.last?.byVmid.get(101);
    if (!row) throw new Error("no row");
    proxmox.lookup.expect({ ...row, vmid: 777, name: "web-1" });
    expect((await call("get_vm", { vm: "web-1" })).kind).toBe("ambiguous");
    expect((await call("get_vm", { vm: 101 })).data["vmid"]).toBe(101);
  });

  test("is gone as soon as we have deleted it", async () => {
    const { call } = await warm();
    await call("stop_guest", { guest: "web-1", mode: "stop" });
    await call("get_vm", { vm: "web-1" });
    await call("delete_guest", { guest: "web-1", confirm: "web-1" });
    expect((await call("get_vm", { vm: "web-1" })).kind).toBe("not_found");
  });

  test("is what newer rows say, whoever has asked for them", async () => {
    const { call, clock, simulator } = await warm();
    simulator.outside.lock(101, "backup");
    simulator.outside.migrate(101, "pve3");
    await clock.advance(1_000);
    await call("list_guests", { max_age_s: 0 });
    expect((await call("get_vm", { vm: "web-1" })).data).toMatchObject({ node: "pve3" });
  });

  test("is another kind's refusal under every way to ask for it", async () => {
    const { call } = await warm();
    expect((await call("get_container", { container: "web-1" })).kind).toBe("invalid_input");
    const upper = await call("get_vm", { vm: "WEB-1" });
    expect(upper.data["vmid"]).toBe(101);
  });
});

describe("shapes", () => {
  const shape = (text: string) => () => ({ text, data: {} });

  test("are made once for a result that was made once, and its arguments", () => {
    const shapes = new Shapes();
    const source = {};
    const made = shapes.once(source, () => ({ a: 1 }));
    expect(shapes.once(source, () => ({ a: 2 }))).toBe(made);
    expect(shapes.of(made, { vm: "a" }, shape("first")).text).toBe("first");
    expect(shapes.of(made, { vm: "a" }, shape("second")).text).toBe("first");
    expect(shapes.of(made, { vm: "b" }, shape("third")).text).toBe("third");
  });

  test("are made each time for any other result", () => {
    const shapes = new Shapes();
    const result = {};
    expect(shapes.of(result, {}, shape("first")).text).toBe("first");
    expect(shapes.of(result, {}, shape("second")).text).toBe("second");
  });
});

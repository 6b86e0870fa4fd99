import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests", { limit: 100 });
});

const rows = async (args: Record<string, unknown> = {}) => {
  const { data } = await server.call("list_guests", { limit: 100, max_age_s: 0, ...args });
  return data["guests"] as { vmid: number; name?: string; node: string; status: string }[];
};

describe("what others do to a guest that we have just changed", () => {
  test("moved on by others, it is found where it is", async () => {
    await server.call("migrate_guest", { guest: "web-1", target: "pve2", wait_s: 600 });
    await server.clock.advance(1_000);
    server.simulator.outside.migrate(101, "pve3");
    const { data, text } = await server.call("get_vm", { vm: "web-1", max_age_s: 0 });
    expect(data, text).toMatchObject({ vmid: 101, node: "pve3" });
    expect((await rows()).find(({ vmid }) => vmid === 101)?.node).toBe("pve3");
    const stopped = await server.call("stop_guest", { guest: "web-1", mode: "stop" });
    expect(stopped.data).toMatchObject({ node: "pve3", status: "stopped" });
  });

  test("a successor on another node does not inherit the state that we left", async () => {
    await server.call("stop_guest", { guest: "web-1", mode: "stop" });
    await server.call("start_guest", { guest: "web-1" });
    server.simulator.outside.destroy(101);
    await server.clock.advance(500);
    server.simulator.outside.create({ vmid: 101, name: "stranger", node: "pve2" });
    await rows();
    await server.clock.advance(11_000); // what its row may lag
    expect((await rows()).find(({ vmid }) => vmid === 101)?.status).toBe("stopped");
  });

  test("the digest that a conflict leads to is the new one, under whatever name it is asked for", async () => {
    await server.call("get_vm", { vm: "web-1" });
    const { data: old } = await server.call("get_vm", { vm: "web-1" });
    server.simulator.outside.setConfig(101, { cores: "7" });
    const wish = { guest: "web-1", set: { memory: 6144 } };
    const refused = await server.call("update_guest", { ...wish, digest: old["digest"] });
    expect(refused.kind).toBe("conflict");
    const { data } = await server.call("get_vm", { vm: "web-1" });
    expect(data["config"]).toMatchObject({ cores: 7 });
    const again = await server.call("update_guest", { ...wish, digest: data["digest"] });
    expect(again.kind, again.text).toBe("");
  });

  test("after any live read nobody is shown what it has replaced", async () => {
    await server.call("get_vm", { vm: "web-1" });
    await server.call("get_vm", { vm: "web-1" });
    server.simulator.outside.setConfig(101, { cores: "7" });
    await server.call("update_guest", { guest: "web-1", set: { cores: 9 }, dry_run: true });
    const { data } = await server.call("get_vm", { vm: "web-1" });
    expect(data["config"]).toMatchObject({ cores: 7 });
  });
});

describe("what others' tasks do to a guest", () => {
  test("is told as soon as a sweep has heard of it, though rows lag", async () => {
    await server.call("get_vm", { vm: "web-1" });
    await server.clock.advance(10_500);
    server.simulator.outside.stop(101);
    await server.clock.advance(2_000);
    const { data } = await server.call("get_vm", { vm: "web-1" });
    expect(data["status"]).toBe("stopped");
  });

  test("seen by a change of ours, the next look tells it too", async () => {
    await server.call("get_vm", { vm: "web-1" });
    server.simulator.outside.powerOff(101);
    await server.call("stop_guest", { guest: "web-1" });
    expect((await server.call("get_vm", { vm: "web-1" })).data["status"]).toBe("stopped");
  });
});

describe("a guest that others have made a moment ago", () => {
  const make = () => server.simulator.outside.create({ vmid: 777, name: "fresh-b", node: "pve2" });

  test("is not called unknown because a refresh has failed before", async () => {
    await server.clock.advance(5_000);
    make();
    const once = { path: /cluster\/resources/, times: 1 };
    server.simulator.faults.reply({ status: 500, reason: "no" }, once);
    expect((await server.call("get_vm", { vm: "fresh-b" })).isError).toBe(true);
    expect((await server.call("get_vm", { vm: "fresh-b" })).data["vmid"]).toBe(777);
  });

  test("is found also while another unknown name is being looked for", async () => {
    await server.clock.advance(5_000);
    make();
    const calls = ["nobody", "fresh-b"].map((vm) => server.begin("get_vm", { vm }));
    const [nobody, fresh] = await server.clock.run(Promise.all(calls));
    expect(nobody?.kind).toBe("not_found");
    expect(fresh?.data["vmid"]).toBe(777);
  });

  test.each([595, 403])(
    "but can't be read (%i) is mentioned, and not forgotten",
    async (status) => {
      await server.clock.advance(5_000);
      make();
      const mend = server.simulator.faults.reply({ status }, { path: /777\/config/ });
      const answer = await server.call("get_vm", { vm: "fresh-b" });
      expect(answer.kind).toBe("not_found");
      expect(answer.text).toContain("VM 777 on pve2");
      mend();
      expect((await server.call("get_vm", { vm: "fresh-b" })).data["vmid"]).toBe(777);
    },
  );
});

import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests", { limit: 100 });
});

const rows = "GET /cluster/resources";
const at = (node: string, vmid: number, rest: string) => `GET /nodes/${node}/qemu/${vmid}/${rest}`;

/** What was asked and sent, without the looks at tasks. */
function paths(mark: number): readonly string[] {
  return server.simulator.log.paths(mark).filter((path) => !path.includes("/tasks/"));
}

describe("a VM that others moved to another node", () => {
  test("get_vm knows the node once the rows may be asked again, for a sweep, the configuration and the state", async () => {
    await server.call("get_vm", { vm: "staging-web-1" });
    server.simulator.outside.migrate(301, "pve3");
    await server.clock.advance(10_001);
    const mark = server.simulator.log.mark();
    const answer = await server.call("get_vm", { vm: "staging-web-1" });
    expect(answer.data).toMatchObject({ vmid: 301, node: "pve3", status: "running" });
    expect(paths(mark)).toEqual([
      rows,
      "GET /access/permissions",
      "GET /cluster/log",
      // Its row lags after such a task.
      at("pve3", 301, "status/current"),
      at("pve3", 301, "config"),
    ]);
  });

  test("get_vm with rows in memory that are wrong by now: the miss, the rows, the configuration", async () => {
    server.simulator.outside.migrate(301, "pve3");
    const mark = server.simulator.log.mark();
    const answer = await server.call("get_vm", { vm: "staging-web-1" });
    expect(answer.data).toMatchObject({ vmid: 301, node: "pve3" });
    expect(paths(mark)).toEqual([at("pve1", 301, "config"), rows, at("pve3", 301, "config")]);
  });

  test.each<[string, string, Record<string, unknown>, string]>([
    ["stop_guest", "guest", { mode: "shutdown" }, "POST /nodes/pve3/qemu/301/status/shutdown"],
    ["stop_guest", "guest", { mode: "stop" }, "POST /nodes/pve3/qemu/301/status/stop"],
    ["stop_guest", "guest", { mode: "suspend" }, "POST /nodes/pve3/qemu/301/status/suspend"],
  ])("%s follows it once, and the next call goes there directly", async (tool, key, args, sent) => {
    server.simulator.outside.migrate(301, "pve3");
    const mark = server.simulator.log.mark();
    const answer = await server.call(tool, { ...args, [key]: "staging-web-1" });
    expect(answer.data).toMatchObject({ vmid: 301, node: "pve3", changed: true });
    expect(paths(mark).toSorted()).toEqual(
      [
        at("pve1", 301, "config"),
        at("pve1", 301, "status/current"),
        rows,
        at("pve3", 301, "config"),
        at("pve3", 301, "status/current"),
        sent,
      ].toSorted(),
    );
    const next = server.simulator.log.mark();
    await server.call("start_guest", { guest: "staging-web-1" });
    expect(paths(next).some((path) => path.includes("/pve1/"))).toBe(false);
  });

  test("start_guest and delete_guest follow it", async () => {
    server.simulator.outside.migrate(302, "pve3");
    expect((await server.call("start_guest", { guest: 302 })).data).toMatchObject({
      node: "pve3",
      status: "running",
    });
    server.simulator.outside.stop(302);
    await server.clock.advance(11_000);
    await server.call("list_guests");
    server.simulator.outside.migrate(302, "pve1");
    const args = { guest: "staging-web-2", confirm: "staging-web-2" };
    const deleted = await server.call("delete_guest", args);
    expect(deleted.data).toMatchObject({ vmid: 302, node: "pve1", status: "deleted" });
    expect(server.simulator.log.changes().map(({ path }) => path)).toEqual([
      "/nodes/pve3/qemu/302/status/start",
      "/nodes/pve1/qemu/302",
    ]);
  });

  test("clone_vm follows its source, and the new VM lives where the source does", async () => {
    server.simulator.outside.migrate(9000, "pve2");
    const answer = await server.call("clone_vm", { vm: "debian-13-template", name: "new-1" });
    expect(answer.data).toMatchObject({ node: "pve2", name: "new-1" });
    const [first] = server.simulator.log.changes();
    expect(first?.path).toBe("/nodes/pve2/qemu/9000/clone");
    expect((await server.call("get_vm", { vm: "new-1" })).data["node"]).toBe("pve2");
  });
});

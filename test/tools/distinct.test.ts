import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const results = (data: Readonly<Record<string, unknown>>) =>
  data["results"] as readonly { vmid?: number; guest?: string; error?: { kind: string } }[];

describe("a guest that is named twice in one call", () => {
  test.each([
    ["restart_guest", {}],
    ["create_snapshot", { name: "before" }],
    ["migrate_guest", { target: "pve2", dry_run: true }],
  ])("is worked on once: %s", async (tool, args) => {
    const guests = ["web-1", 101, "WEB-1", "qemu/101", "git"];
    const { data } = await server.call(tool, { guests, ...args, wait_s: 600 });
    expect(results(data).map(({ vmid }) => vmid)).toEqual([101, 210]);
    expect(server.simulator.log.changes().length).toBeLessThanOrEqual(2);
  });

  test("does not hide what is not found, once for each name", async () => {
    const guests = ["nobody", 101, "nobody", "none", "web-1"];
    const { data } = await server.call("start_guest", { guests });
    const told = results(data).map(({ guest, vmid, error }) => error?.kind ?? vmid ?? guest);
    expect(told).toEqual(["not_found", 101, "not_found"]);
  });

  test("costs no question more", async () => {
    const mark = server.simulator.log.mark();
    await server.call("start_guest", { guests: ["web-1", 101, "web-2"] });
    expect(server.simulator.log.paths(mark)).toHaveLength(4);
  });
});

describe("what a clone puts on a storage", () => {
  test.each([
    ["where its source lies", {}],
    ["where it was told to go", { storage: "local-lvm" }],
  ])("is listed at once, %s", async (_, where) => {
    const { storage = "nfs-shared" } = where as { storage?: string };
    const list = { storage, content: "images", limit: 200 };
    await server.call("list_storage", list);
    const args = { vm: "debian-13-template", name: "new-1", full: true, ...where };
    const { data } = await server.call("clone_vm", args);
    const { text } = await server.call("list_storage", list);
    expect(text).toContain(`vm-${data["vmid"]}-disk-0`);
  });

  test("is listed at once, of a container too", async () => {
    const list = { storage: "local-lvm", content: "rootdir", limit: 200 };
    await server.call("list_storage", list);
    const args = { container: "debian-13-ct-template", name: "new-ct" };
    const { data } = await server.call("clone_container", args);
    expect((await server.call("list_storage", list)).text).toContain(`-${data["vmid"]}-disk-0`);
  });
});

import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ latencyMs: 40 });
});

const world = (vmid: number) => guestOf(server.simulator.world, vmid);

interface Row {
  readonly vmid: number;
  readonly name: string;
}
const rows = (list: unknown) => list as readonly Row[];

test("get_connection_status tells host, version, who asks, latency and what these may do", async () => {
  const { data, text } = await server.call("get_connection_status");
  expect(data).toMatchObject({ host: "simulator", latency_ms: 40 });
  expect(data["version"]).toMatch(/^9\.1/);
  expect(data["auth"]).toContain("admin@pve!agent");
  expect(JSON.stringify(data["permissions"])).toContain("VM.Audit");
  expect(text).toMatch(/^simulator, Proxmox VE 9\.1\S*, as .*, 40 ms$/m);
});

describe("a guest that something else works on", () => {
  test("shows its lock, and takes changes as soon as that is gone", async () => {
    expect((await server.call("get_vm", { vm: "files-1" })).data["lock"]).toBe("backup");
    const set = { onboot: 1 };
    expect((await server.call("update_guest", { guest: "files-1", set })).kind).toBe("locked");
    server.simulator.outside.unlock(150);
    const now = await server.call("get_vm", { vm: "files-1", max_age_s: 0 });
    expect(now.data).not.toHaveProperty("lock");
    expect((await server.call("update_guest", { guest: "files-1", set })).kind).toBe("");
    expect(world(150).config["onboot"]).toBe("1");
  });
});

test("a container is replaced by one of a newer image, under its old name and vmid", async () => {
  const image = "docker.io/library/nginx";
  const newer = `${image}:1.29`;
  server.simulator.world.web.set(`docker://${newer}`, { sizeBytes: 1, bytes: "" });
  const order = { name: "shop-1", rootfs: "local-lvm:4", node: "pve2" };
  const first = await server.call("create_container", { ...order, template: `${image}:latest` });
  const { vmid } = first.data;
  await server.call("delete_guest", { guest: "shop-1", confirm: "shop-1" });
  const second = await server.call("create_container", { ...order, vmid, template: newer });
  expect(second.data, second.text).toMatchObject({ vmid, name: "shop-1", changed: true });
  const archives = server.simulator.log
    .filter({ method: "POST", path: /lxc$/ })
    .map(({ body }) => body["ostemplate"]);
  expect(archives).toEqual([
    "local:vztmpl/docker.io_library_nginx_latest.tar",
    "local:vztmpl/docker.io_library_nginx_1.29.tar",
  ]);
});

test("a guest that has the vmid of one just deleted is shown as soon as Proxmox has taken the order", async () => {
  await server.call("list_guests");
  await server.call("delete_guest", { guest: "build-2", confirm: "build-2" });
  const order = { name: "shop-1", node: "pve2", vmid: 212, memory: 512, wait_s: 0 };
  const made = await server.call("create_vm", order);
  expect(made.isError, made.text).toBe(false);
  const mark = server.simulator.log.mark();
  const { data } = await server.call("list_guests", { type: "qemu" });
  expect(rows(data["guests"]).find(({ vmid }) => vmid === 212)?.name).toBe("shop-1");
  const named = await server.call("list_guests", { name: "shop-*" });
  expect(rows(named.data["guests"])).toHaveLength(1);
  expect(server.simulator.log.paths(mark)).toEqual([]);
});

test("a series of clones grows at its end and shrinks from there", async () => {
  const vm = "debian-13-template";
  await server.call("clone_vm", { vm, name: "app-1", count: 3 });
  const more = await server.call("clone_vm", { vm, name: "app-4", count: 2 });
  expect(rows(more.data["results"]).map(({ name }) => name)).toEqual(["app-4", "app-5"]);
  for (const guest of ["app-5", "app-4"]) {
    await server.call("delete_guest", { guest, confirm: guest });
  }
  const { data } = await server.call("list_guests", { name: "app-*" });
  expect(
    rows(data["guests"])
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(["app-1", "app-2", "app-3"]);
});

test("all guests of a tag keep their two newest snapshots of a series, and those made by hand", async () => {
  const listed = await server.call("list_guests", { tag: "web", type: "qemu", status: "running" });
  const guests = rows(listed.data["guests"]).map(({ vmid }) => vmid);
  expect(guests.length).toBeGreaterThan(1);
  for (const guest of guests) {
    await server.call("create_snapshot", { guest, name: "by-hand" });
  }
  for (let round = 0; round < 4; round++) {
    await server.clock.advance(3_600_000);
    const { data } = await server.call("create_snapshot", { guests, prefix: "hourly-", keep: 2 });
    expect(JSON.stringify(data)).not.toContain("error");
  }
  for (const vmid of guests) {
    const names = world(vmid).snapshots.map(({ name }) => name);
    expect(names[0]).toBe("by-hand");
    expect(names.slice(1)).toEqual([
      expect.stringMatching(/^hourly-/),
      expect.stringMatching(/^hourly-/),
    ]);
  }
});

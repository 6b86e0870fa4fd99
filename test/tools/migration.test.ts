import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
  await server.call("list_guests");
});

const guest = (vmid: number) => guestOf(server.simulator.world, vmid);

/** Calls, and what of it was sent besides reads. */
async function migrate(args: Record<string, unknown>, on: Lab = server) {
  const { sent: requests, ...answer } = await on.act("migrate_guest", { wait_s: 600, ...args });
  const sent = requests.map(({ method, path }) => `${method} ${path}`);
  return { ...answer, sent, bodies: requests.map(({ body }) => body) };
}

describe("migrate_guest", () => {
  test("moves a running VM live, with its local disks, and finds it there at once", async () => {
    const { data, text, sent, bodies } = await migrate({ guest: "web-1", target: "pve3" });
    expect(sent).toEqual(["POST /nodes/pve1/qemu/101/migrate"]);
    expect(bodies).toEqual([{ target: "pve3", online: "1", "with-local-disks": "1" }]);
    expect(data).toMatchObject({ vmid: 101, node: "pve3", from: "pve1", changed: true });
    expect(data).toMatchObject({ status: "running", task: { state: "ok" } });
    expect(text).toBe("VM 101 (web-1) on pve3 has come from pve1.");
    expect(guest(101)).toMatchObject({ node: "pve3", run: { status: "running" } });
    const mark = server.simulator.log.mark();
    const { data: vm } = await server.call("get_vm", { vm: "web-1" });
    expect(vm).toMatchObject({ node: "pve3", status: "running" });
    const asked = server.simulator.log.paths(mark).filter((path) => path.includes("/qemu/"));
    expect(asked.sort()).toEqual([
      "GET /nodes/pve3/qemu/101/config",
      "GET /nodes/pve3/qemu/101/status/current",
    ]);
    expect((await server.call("list_guests", { name: "web-1" })).data["guests"]).toMatchObject([
      { node: "pve3" },
    ]);
  });

  test("reads what stands in the way before it sends", async () => {
    const mark = server.simulator.log.mark();
    await migrate({ guest: "web-1", target: "pve3", wait_s: 0 });
    expect(server.simulator.log.paths(mark)).toEqual([
      "GET /nodes/pve1/qemu/101/config",
      "GET /nodes/pve1/qemu/101/status/current",
      "GET /nodes/pve1/qemu/101/migrate",
      "POST /nodes/pve1/qemu/101/migrate",
    ]);
  });

  test("a stopped VM and one on shared storage need no extras", async () => {
    const stopped = await migrate({ guest: "staging-web-2", target: "pve1" });
    expect(stopped.bodies).toEqual([{ target: "pve1" }]);
    expect(guest(302).node).toBe("pve1");
    const shared = await migrate({ guest: "staging-web-1", target: "pve3" });
    expect(shared.bodies).toEqual([{ target: "pve3", online: "1" }]);
  });

  test("a running container is stopped and started, and says so before", async () => {
    const planned = await migrate({ guest: "dns-1", target: "pve2", dry_run: true });
    expect(planned.sent).toEqual([]);
    expect(planned.text).toContain("moves container 200 (dns-1) on pve1 to pve2, stopping and");
    const { data, bodies } = await migrate({ guest: "dns-1", target: "pve2" });
    expect(bodies).toEqual([{ target: "pve2", restart: "1" }]);
    expect(data).toMatchObject({ node: "pve2", type: "lxc", status: "running" });
    expect(guest(200)).toMatchObject({ node: "pve2", run: { status: "running" } });
  });

  test("without a target it goes where most memory is free", async () => {
    for (const vmid of [102, 110, 121, 141]) guest(vmid).config["memory"] = "20000";
    await server.clock.advance(15_000);
    const { data } = await migrate({ guest: "web-1" });
    expect(data["target"]).toBe("pve3");
  });

  test("to another storage", async () => {
    const { bodies } = await migrate({ guest: "web-1", target: "pve2", storage: "nfs-shared" });
    expect(bodies[0]).toMatchObject({ targetstorage: "nfs-shared" });
    expect(guest(101).config["scsi0"]).toContain("nfs-shared:101/vm-101-disk-0");
    const wrong = await migrate({ guest: "web-2", target: "pve1", storage: "local" });
    expect(wrong.kind).toBe("conflict");
    expect(wrong.text).toContain("has no storage local for disks of this kind");
  });

  test("where it is already, nothing is sent", async () => {
    const { data, text, sent } = await migrate({ guest: "web-1", target: "pve1" });
    expect(sent).toEqual([]);
    expect(data).toMatchObject({ changed: false, node: "pve1" });
    expect(text).toContain("is there already; nothing was sent");
  });

  test("rows show it on its new node, though nobody asks for them again", async () => {
    await migrate({ guest: "staging-web-1", target: "pve3" });
    const mark = server.simulator.log.mark();
    const { data } = await server.call("list_guests", { name: "staging-web-1" });
    expect(data["guests"]).toMatchObject([{ node: "pve3", status: "running" }]);
    expect(server.simulator.log.since(mark)).toEqual([]);
  });

  test("asked for twice at once it is sent once", async () => {
    const args = { guest: "web-1", target: "pve3", wait_s: 600 };
    const both = await server.clock.run(
      Promise.all([server.begin("migrate_guest", args), server.begin("migrate_guest", args)]),
    );
    expect(both.map(({ data }) => data["node"])).toEqual(["pve3", "pve3"]);
    const posts = server.simulator.log.paths().filter((path) => path.startsWith("POST"));
    expect(posts).toEqual(["POST /nodes/pve1/qemu/101/migrate"]);
    const other = server.begin("migrate_guest", { guest: "web-1", target: "pve2", wait_s: 0 });
    await server.clock.run(other);
    expect((await migrate({ guest: "web-1", target: "pve1", wait_s: 0 })).kind).toBe("busy");
  });

  test("a call that wants its disks elsewhere does not wait for one that does not", async () => {
    const args = { guest: "web-1", target: "pve2" };
    const { data } = await migrate({ ...args, wait_s: 0 });
    await server.clock.advance(2_000);
    const other = await migrate({ ...args, storage: "nfs-shared" });
    expect(other.kind).toBe("busy");
    expect(other.text).toContain("VM 101 (web-1) on pve1 is on its way to pve2 by another order");
    expect(other.facts["upid"]).toBe(data["upid"]);
    expect(other.sent).toEqual([]);
    expect((await migrate(args)).data).toMatchObject({ node: "pve2", upid: data["upid"] });
  });

  test("HA has only taken the request, and the guest moves later", async () => {
    const { data, text } = await migrate({ guest: "gateway-1", target: "pve3" });
    expect(data).toMatchObject({ node: "pve2", target: "pve3", task: { queued: true } });
    expect(text).toContain("HA has taken the request for VM 152 (gateway-1) on pve2");
    await server.clock.advance(60_000);
    expect(guest(152).node).toBe("pve3");
    const { data: vm } = await server.call("get_vm", { vm: "gateway-1" });
    expect(vm["node"]).toBe("pve3");
  });
});

describe("what Proxmox would abort for is refused before", () => {
  test.each([
    ["a device of the host", { hostpci0: "0000:01:00.0" }, "uses devices of its host (hostpci0)"],
    ["a mapped device", { hostpci0: "mapping=gpu" }, "mapped devices (hostpci0) that can't move"],
    [
      "a CD of its node",
      { ide2: "local:iso/debian-13.2.0-amd64-netinst.iso,media=cdrom" },
      'update_guest {guest: "101", set: {ide2: "none,media=cdrom"}}',
    ],
    ["snapshots on local disks", { parent: "one" }, "snapshots on local disks"],
  ])("%s", async (_, config, words) => {
    server.simulator.outside.setConfig(101, config);
    const { kind, text, sent } = await migrate({ guest: "web-1", target: "pve3" });
    expect(kind).toBe("conflict");
    expect(text).toContain(words);
    expect(sent).toEqual([]);
  });

  test.each([
    ["a directory of the host", { mp0: "/srv/data,mp=/data" }, "mp0: /srv/data"],
    ["a device of the host", { mp0: "/dev/sdb1,mp=/data" }, "mp0: /dev/sdb1"],
    ["snapshots of a container", { parent: "one" }, "snapshots on local disks (local-lvm:vm-200"],
  ])("%s", async (_, config, words) => {
    server.simulator.outside.setConfig(200, config);
    const { kind, text, sent } = await migrate({ guest: "dns-1", target: "pve2" });
    expect(kind).toBe("conflict");
    expect(text).toContain(words);
    expect(sent).toEqual([]);
    const planned = await migrate({ guest: "dns-1", target: "pve2", dry_run: true });
    expect(planned.text).toContain(`Against it: conflict: container 200 (dns-1)`);
  });

  test("but not a directory that every node has", async () => {
    server.simulator.outside.setConfig(200, { mp0: "/srv/data,mp=/data,shared=1" });
    expect((await migrate({ guest: "dns-1", target: "pve2" })).data["changed"]).toBe(true);
  });

  test("a storage that the target does not have, for VMs and containers", async () => {
    server.simulator.world.storages.get("local-lvm")?.nodes.push("pve1", "pve2");
    await server.clock.advance(15_000);
    for (const name of ["web-1", "dns-1"]) {
      const { kind, text, sent } = await migrate({ guest: name, target: "pve3" });
      expect(kind).toBe("conflict");
      expect(text).toContain("can't go to pve3: has no storage local-lvm");
      expect(sent).toEqual([]);
      expect((await migrate({ guest: name })).data["target"]).toBe("pve2");
    }
  });

  test("too little memory, and a node that is offline", async () => {
    guest(131).config["memory"] = "200000";
    guest(101).config["memory"] = "120000";
    await server.clock.advance(20_000);
    const full = await migrate({ guest: "web-1", target: "pve3" });
    expect(full.text).toMatch(/pve3: has .* of memory free, and it needs 117 GiB/);
    const nowhere = await migrate({ guest: "queue-1" });
    expect(nowhere.text).toMatch(/can go to no other node: pve1 has .*; pve2 has .*/);
    server.simulator.outside.nodeDown("pve3");
    await server.clock.advance(20_000);
    expect((await migrate({ guest: "dns-1", target: "pve3" })).text).toContain("is offline");
    expect((await migrate({ guest: "dns-1" })).data["target"]).toBe("pve2");
  });

  test.each([
    ["a node that is not there", { guest: "web-1", target: "pve9" }, "not_found"],
    ["a guest that is not there", { guest: "web-99", target: "pve2" }, "not_found"],
    ["a name of two guests", { guest: "sandbox", target: "pve2" }, "ambiguous"],
    ["a guest that is locked", { guest: "files-1", target: "pve1" }, "locked"],
    ["a container that is locked", { guest: "metrics", target: "pve1" }, "locked"],
    ["neither guest nor node", { target: "pve2" }, "invalid_input"],
    ["guest and node", { guest: "web-1", from_node: "pve1" }, "invalid_input"],
    [
      "a node that is to be emptied into itself",
      { from_node: "pve1", target: "pve1" },
      "invalid_input",
    ],
    ["a node to be emptied that is not there", { from_node: "pve9" }, "not_found"],
  ])("%s", async (_, args, kind) => {
    server.simulator.outside.lock(204, "backup");
    const answer = await migrate(args);
    expect(answer.kind).toBe(kind);
    expect(answer.sent).toEqual([]);
  });

  test("who may not is told the privilege and the command", async () => {
    const auditor = await lab({ tools, token: auditorToken });
    const { kind, text, sent } = await migrate({ guest: "web-1", target: "pve2" }, auditor);
    expect(kind).toBe("forbidden");
    expect(text).toContain("VM.Migrate on /vms/101");
    expect(text).toContain("pveum acl modify /vms/101");
    expect(sent).toEqual([]);
  });
});

describe("a task that fails", () => {
  test("is told with the reason from its log, and the guest is where it was", async () => {
    const begun = server.begin("migrate_guest", { guest: "web-1", target: "pve3", wait_s: 600 });
    await server.clock.advance(0);
    server.simulator.outside.nodeDown("pve3");
    const { kind, text } = await server.clock.run(begun);
    expect(kind).toBe("task_failed");
    expect(text).toContain("migration aborted");
    expect(text).toContain("Can't connect to destination address");
    expect((await server.call("get_vm", { vm: "web-1" })).data["node"]).toBe("pve1");
  });
});

test("PVE 8 knows no conditions of containers: they move all the same", async () => {
  const old = await lab({ tools, version: "8.4" });
  const { data } = await migrate({ guest: "dns-1", target: "pve2" }, old);
  expect(data).toMatchObject({ node: "pve2", changed: true });
});

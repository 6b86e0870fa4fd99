import { expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const web = "/nodes/pve1/qemu/101/migrate";

test("what speaks against a migration: storages, local disks, devices; offline nodes do not", async () => {
  const pve = host();
  pve.simulator.world.storages.get("local-lvm")?.nodes.push("pve1", "pve2");
  pve.simulator.outside.setConfig(101, { hostpci0: "0000:01:00.0", hostpci1: "mapping=gpu" });
  pve.simulator.outside.nodeDown("pve2");
  const { data } = await pve.get(web);
  expect(data).toMatchObject({
    running: 1,
    allowed_nodes: ["pve2"],
    not_allowed_nodes: { pve2: {}, pve3: { unavailable_storages: ["local-lvm"] } },
    local_resources: ["hostpci0", "hostpci1"],
    "mapped-resources": ["hostpci1"],
  });
  expect(data.local_disks).toMatchObject([{ volid: "local-lvm:vm-101-disk-0", cdrom: 0 }]);
  expect((await pve.get("/nodes/pve2/qemu/150/migrate")).reason).toBe("No route to host");
  const denied = await pve.get(web, {}, auditorToken);
  expect(denied.reason).toBe("Permission check failed (/vms/101, VM.Migrate)");
});

test("a locked VM is refused at once, a locked container in the task", async () => {
  const pve = host();
  expect((await pve.get("/nodes/pve2/qemu/150/migrate")).reason).toBe("VM is locked (backup)");
  const vm = await pve.post("/nodes/pve2/qemu/150/migrate", { target: "pve1", online: 1 });
  expect(vm.reason).toBe("VM is locked (backup)");
  pve.simulator.outside.lock(200, "backup");
  const form = { target: "pve2", restart: 1 };
  const { data: upid } = await pve.post("/nodes/pve1/lxc/200/migrate", form);
  expect(upid).toMatch(/:vzmigrate:200:/);
  expect(await pve.settle(upid)).toBe("migration aborted");
  expect((await pve.lines(upid)).join("\n")).toContain(
    "ERROR: migration aborted (duration 00:00:00): CT is locked (backup)",
  );
});

test("a running container needs restart; what only root may is root's", async () => {
  const pve = host();
  const ct = "/nodes/pve1/lxc/200/migrate";
  expect((await pve.post(ct, { target: "pve2" })).reason).toBe(
    "can't migrate running container without --online or --restart",
  );
  expect(await pve.outcome(pve.post(ct, { target: "pve2", online: 1 }))).toBe("migration aborted");
  expect((await pve.post(web, { target: "pve2", force: 1 })).body?.["errors"]).toEqual({
    force: "Only root may use this option.",
  });
  expect(await pve.outcome(pve.post(ct, { target: "pve2", restart: 1 }))).toBe("OK");
  expect((await pve.get("/nodes/pve2/lxc/200/status/current")).data.status).toBe("running");
});

test.each([
  ["a device", { hostpci0: "0000:01:00.0" }, "can't migrate VM which uses local devices: hostpci0"],
  ["a CD", { ide2: "local:iso/a.iso,media=cdrom" }, "can't migrate local cdrom 'local:iso/a.iso'"],
])("%s aborts the task, and the reason is in the log", async (_, config, words) => {
  const pve = host();
  pve.simulator.outside.setConfig(101, config);
  const form = { target: "pve2", online: 1, "with-local-disks": 1 };
  const { data: upid } = await pve.post(web, form);
  expect(upid).toMatch(/:qmigrate:101:/);
  expect(await pve.settle(upid)).toBe("migration aborted");
  expect((await pve.lines(upid)).join("\n")).toContain(words);
});

test("disks get the next free name where theirs is taken, also in snapshots, and another storage where asked", async () => {
  const pve = host();
  const { world } = pve.simulator;
  const volid = "local-lvm:vm-302-disk-0";
  const there = world.volumes.get(`pve2/${volid}`);
  if (there) world.volumes.set(`pve1/${volid}`, { ...there, node: "pve1" });
  expect(await pve.outcome(pve.post("/nodes/pve2/qemu/302/migrate", { target: "pve1" }))).toBe(
    "OK",
  );
  const { data } = await pve.get("/nodes/pve1/qemu/302/config");
  expect(data.scsi0).toContain("local-lvm:vm-302-disk-1,");
  const bad = { target: "pve3", targetstorage: "local" };
  expect((await pve.post("/nodes/pve1/qemu/302/migrate", bad)).reason).toBe(
    "content type 'images' is not available on storage 'local'",
  );
  const pairs = { target: "pve3", targetstorage: "local-lvm:nfs-shared" };
  expect(await pve.outcome(pve.post("/nodes/pve1/qemu/302/migrate", pairs))).toBe("OK");
  expect((await pve.get("/nodes/pve3/qemu/302/config")).data.scsi0).toContain("nfs-shared:302/");
});

const ct = "/nodes/pve1/lxc/200/migrate";

test("a container's mounts of the host stop its migration before it is off, unless they are everywhere", async () => {
  const pve = host();
  const { outside, world } = pve.simulator;
  const form = { target: "pve2", restart: 1 };
  const since = world.guests.get(200)?.run.since;
  for (const [value, kind] of [
    ["/srv/data,mp=/data", "bind"],
    ["/dev/sdb1,mp=/data", "device"],
  ]) {
    outside.setConfig(200, { mp0: value ?? "" });
    const { data: upid } = await pve.post(ct, form);
    expect(await pve.settle(upid)).toBe("migration aborted");
    expect((await pve.lines(upid)).join("\n")).toContain(
      `cannot migrate local ${kind} mount point 'mp0'`,
    );
  }
  expect(world.guests.get(200)).toMatchObject({ node: "pve1", run: { since } });
  outside.setConfig(200, { mp0: "/srv/data,mp=/data,shared=1" });
  expect(await pve.outcome(pve.post(ct, form))).toBe("OK");
});

test("a container's snapshots on local storage stop it after the shutdown, and it is started again", async () => {
  const pve = host();
  const guest = pve.simulator.world.guests.get(200);
  const since = guest?.run.since ?? 0;
  expect(await pve.outcome(pve.post("/nodes/pve1/lxc/200/snapshot", { snapname: "one" }))).toBe(
    "OK",
  );
  const { data: upid } = await pve.post(ct, { target: "pve2", restart: 1 });
  expect(await pve.settle(upid)).toBe("migration aborted");
  const log = (await pve.lines(upid)).join("\n");
  expect(log).toContain("non-migratable snapshot exists");
  expect(log).toContain("can't migrate CT - check log");
  expect(guest).toMatchObject({ node: "pve1", run: { status: "running" } });
  expect(guest?.config["lock"]).toBeUndefined();
  expect(guest?.run.since).toBeGreaterThan(since);
});

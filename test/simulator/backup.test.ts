import { expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { host } from "./host.ts";

const content = "/nodes/pve1/storage/nfs-shared/content";
const web = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
const shared = { storage: "nfs-shared", compress: "zstd" };

test("a backup is a volume with notes, and what it holds can be read", async () => {
  const pve = host();
  const form = { vmid: 200, ...shared, "notes-template": "{{guestname}}/{{vmid}}\\non {{node}}" };
  const { data: upid } = await pve.post("/nodes/pve1/vzdump", { ...form, protected: 1 });
  expect(upid).toMatch(/:vzdump:200:/);
  expect(await pve.settle(upid)).toBe("OK");
  const lines = await pve.lines(upid);
  expect(lines[0]).toMatch(/^INFO: starting new backup job: vzdump 200 --.* --node pve1$/);
  expect(lines).toContain("INFO: CT Name: dns-1");
  const { data } = await pve.get(content, { content: "backup", vmid: 200 });
  const made = data.find(({ notes }: { notes: string }) => notes === "dns-1/200");
  expect(made).toMatchObject({ format: "tar.zst", subtype: "lxc", protected: 1 });
  const config = await pve.get("/nodes/pve1/vzdump/extractconfig", { volume: made.volid });
  expect(config.data).toContain("hostname: dns-1\n");
  expect(config.data).not.toContain("lock:");
});

test("notes with a variable that there is not are left out, with a warning", async () => {
  const pve = host();
  const form = { vmid: 200, ...shared, "notes-template": "for {{customer}}" };
  const { data: upid } = await pve.post("/nodes/pve1/vzdump", form);
  expect(await pve.settle(upid)).toBe("WARNINGS: 1");
  const warning = "WARN: unable to add notes - unexpected variable name 'customer'";
  expect(await pve.lines(upid)).toContain(warning);
});

test("guests elsewhere are nobody's, unknown ones fail in the task, and others are backed up all the same", async () => {
  const pve = host();
  expect((await pve.post("/nodes/pve1/vzdump", { vmid: 102, ...shared })).data).toBe("OK");
  const { data: upid } = await pve.post("/nodes/pve1/vzdump", { vmid: "9999,200", ...shared });
  expect(await pve.settle(upid)).toBe("job errors");
  const lines = await pve.lines(upid);
  expect(lines).toContain("ERROR: Backup of VM 9999 failed - unable to find VM '9999'");
  expect((await pve.get(content, { content: "backup", vmid: 200 })).data.length).toBe(2);
  const locked = pve.post("/nodes/pve2/vzdump", { vmid: 150, ...shared });
  expect(await pve.outcome(locked)).toBe("job errors");
});

test("a storage for other things is noticed in the task, a lacking privilege there or before", async () => {
  const pve = host();
  const wrong = pve.post("/nodes/pve1/vzdump", { vmid: 200, storage: "local-lvm" });
  expect(await pve.outcome(wrong)).toMatch(/^could not get storage information .*wrong content/);
  const denied = await pve.post("/nodes/pve1/vzdump", { vmid: 200, ...shared }, auditorToken);
  expect(denied.reason).toBe(
    "Permission check failed (/storage/nfs-shared, Datastore.AllocateSpace)",
  );
  const both = await pve.post("/nodes/pve1/vzdump", { vmid: 200, all: 1, ...shared });
  expect(both.body?.["errors"]).toEqual({ all: "option conflicts with option 'vmid'" });
  const script = await pve.post("/nodes/pve1/vzdump", { vmid: 200, ...shared, script: "/x" });
  expect(script.body?.["errors"]).toEqual({ script: "Only root may set this option." });
});

test("old backups are pruned by the rules, and protected ones stay", async () => {
  const pve = host();
  const dump = () => pve.outcome(pve.post("/nodes/pve1/vzdump", { vmid: 200, ...shared }));
  for (let day = 0; day < 3; day++) {
    expect(await dump()).toBe("OK");
    await pve.clock.advance(86_400_000);
  }
  const path = "/nodes/pve1/storage/nfs-shared/prunebackups";
  const rules = { "prune-backups": "keep-daily=2", vmid: 200 };
  const marks = (await pve.get(path, rules)).data.map(({ mark }: { mark: string }) => mark);
  expect(marks).toEqual(["remove", "remove", "keep", "keep"]);
  const [oldest] = (await pve.get(path, rules)).data;
  expect((await pve.put(`${content}/${oldest.volid}`, { protected: 1 })).status).toBe(200);
  expect((await pve.get(path, rules)).data[0].mark).toBe("protected");
  expect(await pve.outcome(pve.del(path, rules))).toBe("OK");
  expect((await pve.get(content, { content: "backup", vmid: 200 })).data.length).toBe(3);
});

test("a restore over a guest needs it off, unprotected and asked for", async () => {
  const pve = host();
  const restore = (form: Record<string, string | number>) =>
    pve.post("/nodes/pve1/qemu", { archive: web, ...form });
  expect((await restore({ vmid: 101 })).reason).toBe(
    "unable to restore VM 101 - VM 101 already exists on node 'pve1'",
  );
  expect((await restore({ vmid: 101, force: 1 })).reason).toBe(
    "unable to restore VM 101 - vm is running",
  );
  pve.simulator.outside.powerOff(120);
  expect((await restore({ vmid: 120, force: 1 })).reason).toMatch(/protection mode enabled$/);
  expect((await restore({ vmid: 700, scsi0: "local-lvm:8" })).body?.["errors"]).toEqual({
    scsi0: "option conflicts with option 'archive'",
  });
  const gone = web.replace("10_41", "10_42");
  expect((await restore({ vmid: 700, archive: gone })).reason).toBe(
    `volume '${gone}' does not exist`,
  );
  expect(await pve.outcome(restore({ vmid: 700, unique: 1, name: "copy" }))).toBe("OK");
  const { data } = await pve.get("/nodes/pve1/qemu/700/config");
  expect(data).toMatchObject({ name: "copy", memory: "4096" });
  expect(data.scsi0).toContain("local-lvm:vm-700-disk-0,");
});

test("a container is restored to `local` where no storage is named, and that holds none", async () => {
  const pve = host();
  const volume = "nfs-shared:backup/vzdump-lxc-200-2025_12_31-02_14_12.tar.zst";
  const form = { vmid: 700, ostemplate: volume, restore: 1 };
  expect((await pve.post("/nodes/pve1/lxc", form)).body?.["errors"]).toEqual({
    storage: "storage 'local' does not support container directories",
  });
  expect(await pve.outcome(pve.post("/nodes/pve1/lxc", { ...form, storage: "local-lvm" }))).toBe(
    "OK",
  );
  pve.simulator.outside.start(200);
  const over = await pve.post("/nodes/pve1/lxc", {
    ...form,
    vmid: 200,
    force: 1,
    storage: "local-lvm",
  });
  expect(over.reason).toBe("can't overwrite running container");
});

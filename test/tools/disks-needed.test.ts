import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab, tools } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab({ tools });
});

const world = (vmid: number) => guestOf(server.simulator.world, vmid);
const volume = (key: string) => server.simulator.world.volumes.get(key);
const sent = (mark = 0) => server.simulator.log.changes(mark);
const detach = (guest: string, disk: string, more: Record<string, unknown> = {}) =>
  server.call("detach_disk", { guest, disk, ...more });
const against = (plan: unknown) =>
  (plan as { against: { kind: string; message: string }[] }).against;

describe("a template's disk that linked clones live on", () => {
  const base = "nfs-shared:9000/base-9000-disk-0.qcow2";
  const destroying = { destroy: true, confirm: "debian-13-template" };

  test("is destroyed neither by detach_disk nor by move_disk, which name the clones", async () => {
    const { data } = await server.call("clone_vm", { vm: "9000", name: "lk", full: false });
    const mark = server.simulator.log.mark();
    const refused = await detach("9000", "scsi0", destroying);
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain(`linked clones live on it: VM ${data["vmid"]} (lk)`);
    const dry = await detach("9000", "scsi0", { destroy: true, dry_run: true });
    expect(against(dry.data["plan"])).toMatchObject([{ kind: "conflict" }]);
    const move = { guest: "9000", disk: "scsi0", storage: "local-lvm", delete_source: true };
    expect((await server.call("move_disk", move)).text).toContain("(lk)");
    expect(sent(mark)).toEqual([]);
    expect(volume(`/${base}`)).toBeDefined();
  });

  test("goes when nobody needs it", async () => {
    const gone = await detach("9000", "scsi0", destroying);
    expect(gone.data).toMatchObject({ changed: true, data: "destroyed" });
    expect(volume(`/${base}`)).toBeUndefined();
  });
});

describe("what a snapshot needs", () => {
  test("stands in the plan as well as in the refusal", async () => {
    const move = { guest: "wiki", disk: "scsi0", storage: "nfs-shared", delete_source: true };
    const dry = await server.call("move_disk", { ...move, dry_run: true });
    expect(against(dry.data["plan"])[0]?.message).toContain("before-upgrade");
    const refused = await server.call("move_disk", move);
    expect(refused.kind).toBe("conflict");
    expect(refused.text).toContain('delete_snapshot {guest: "151", name: "clean-install"}');
    const plan = (await detach("wiki", "scsi0", { destroy: true, dry_run: true })).data["plan"];
    expect(against(plan)[0]?.message).toContain("before-upgrade");
    expect(sent()).toEqual([]);
  });
});

describe("a volume that is not the guest's own", () => {
  test("stays when its drive goes, and so it is told", async () => {
    const foreign = "nfs-shared:301/vm-301-disk-0.qcow2";
    expect(volume(`/${foreign}`)).toBeDefined();
    server.simulator.outside.setConfig(302, { scsi5: `${foreign},size=16G` });
    const asked = await detach("302", "scsi5", { destroy: true });
    expect(asked.text).toContain("its data is not its own and stays");
    const confirm = { destroy: true, confirm: "staging-web-2" };
    const { data, text } = await detach("302", "scsi5", confirm);
    expect(data).toMatchObject({ changed: true, data: "foreign" });
    expect(text).toContain("stays as it is");
    expect(text).not.toContain("lost");
    expect(volume(`/${foreign}`)).toBeDefined();
    expect(world(302).config["scsi5"]).toBeUndefined();
  });
});

describe("with hot-plug switched off", () => {
  beforeEach(() => server.simulator.outside.setConfig(101, { hotplug: "0" }));

  test("a disk's end waits for the restart, and so it is told", async () => {
    const { data, text } = await detach("web-1", "scsi0", { destroy: true, confirm: "web-1" });
    expect(data).toMatchObject({ changed: true, data: "waits", pending: ["scsi0"] });
    expect(text).toContain("has scsi0 until it restarts and loses it and its data then");
    expect(text).not.toContain("has lost");
    expect(volume("pve1/local-lvm:vm-101-disk-0")).toBeDefined();
  });

  test("a disk that is only pending is neither grown nor destroyed, but taken out", async () => {
    const attach = { guest: "web-1", size: "4G", storage: "local-lvm", slot: "scsi1" };
    expect((await server.call("attach_disk", attach)).text).toMatch(
      /gets a disk of [0-9]+G as scsi1 when/,
    );
    const mark = server.simulator.log.mark();
    const resize = { guest: "web-1", disk: "scsi1", size: "+1G" };
    const grown = await server.call("resize_disk", resize);
    expect(grown.kind).toBe("conflict");
    expect(grown.text).toContain("waits for a restart");
    const destroyed = await detach("web-1", "scsi1", { destroy: true, confirm: "web-1" });
    expect(destroyed.kind).toBe("conflict");
    expect(sent(mark)).toEqual([]);
    const out = await detach("web-1", "scsi1", { confirm: "web-1" });
    expect(out.data).toMatchObject({ changed: true, data: "unused" });
    expect(world(101).config["unused0"]).toBe("local-lvm:vm-101-disk-1");
  });
});

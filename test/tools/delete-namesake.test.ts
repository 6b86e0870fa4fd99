import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";
import { removals } from "../removals.ts";

const volid = "local-lvm:vm-101-disk-0";
let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
  put(volid, "pve2", { vmid: 101 });
});

const { put, there, guest, remove, inUse } = removals(() => server);
const volumes = () => server.simulator.world.volumes;

test("a disk left over on another node goes, though its owner uses one of that name on its own", async () => {
  expect((await remove(volid)).kind).toBe("ambiguous");
  const { data, text, sent } = await remove(volid, { node: "pve2" });
  expect(data, text).toMatchObject({ node: "pve2", status: "deleted", changed: true });
  expect(sent.map(({ path }) => path)).toEqual([`/nodes/pve2/storage/local-lvm/content/${volid}`]);
  expect([there(volid, "pve2"), there(volid, "pve1")]).toEqual([false, true]);
});

test("the owner's own stays", async () => {
  await inUse(volid, "pve1", /VM 101 \(web-1\) on pve1 uses it as scsi0/);
});

test("another guest's on that node stays", async () => {
  guest(102).config["scsi4"] = `${volid},size=1G`;
  expect(guest(102).node).toBe("pve2");
  await inUse(volid, "pve2", /VM 102 .* uses it as scsi4/);
});

test("the only one of that name stays, as where a configuration was moved by hand", async () => {
  volumes().delete(`pve1/${volid}`);
  await inUse(volid, "pve2", /VM 101 .* uses it as scsi0, and pve1 itself has none of that name/);
});

test("so does one of a storage that the owner's node does not have", async () => {
  const only = "only-2:vm-101-disk-3";
  const { storages } = server.simulator.world;
  const like = storages.get("local-lvm");
  if (like) storages.set("only-2", { ...like, id: "only-2", nodes: ["pve2"] });
  put(only, "pve2", { vmid: 101 });
  const [first] = guest(151).snapshots;
  put("only-2:vm-151-disk-9", "pve2", { vmid: 151 });
  if (first) Object.assign(first.config, { scsi7: "only-2:vm-151-disk-9,size=1G" });
  guest(101).config["unused3"] = only;
  await server.clock.advance(10_001);
  await inUse(only, "pve2", /uses it as unused3, and pve1 itself has none/);
  expect(guest(151).node).toBe("pve1");
  await inUse("only-2:vm-151-disk-9", "pve2", /snapshot .* of VM 151 .* needs it, and pve1 itself/);
});

test("one of the same size and time stays: it may be the same file", async () => {
  const own = volumes().get(`pve1/${volid}`);
  if (own) put(volid, "pve2", { ...own, node: "pve2" });
  await inUse(volid, "pve2", /what pve1 has of that name may be the same file/);
});

test("what may be on its way stays, whatever its name", async () => {
  guest(101).config["lock"] = "migrate";
  await inUse(volid, "pve2", /VM 101 .* is locked \(migrate\) and may be on its way to pve2/);
  put("local-lvm:vm-101-disk-8", "pve2", { vmid: 101 });
  await inUse("local-lvm:vm-101-disk-8", "pve2", /on its way to pve2/);
});

test("a replica stays, on the node that it is for", async () => {
  const replicated = (target: string) => {
    const job = { id: "101-0", guest: 101, jobnum: 0, target, type: "local" };
    const body = JSON.stringify({ data: [job] });
    const headers = { "content-type": "application/json" };
    server.simulator.faults.reply({ status: 200, headers, body }, { path: /cluster.replication$/ });
  };
  replicated("pve2");
  await inUse(volid, "pve2", /VM 101 .* is replicated to pve2/);
  server.simulator.faults.clear();
  replicated("pve3");
  expect((await remove(volid, { node: "pve2" })).data["changed"]).toBe(true);
});

test("nothing is deleted where the owner's node does not answer", async () => {
  server.simulator.outside.nodeDown("pve1");
  await server.clock.advance(10_001);
  const { kind, sent } = await remove(volid, { node: "pve2" });
  expect(kind).toBe("conflict");
  expect(sent).toEqual([]);
});

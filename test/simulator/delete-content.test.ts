import { expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { host } from "./host.ts";

const keeper = { tokenId: "keeper@pve!t", secret: "k" };
const there = "backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";

/** Deletes as somebody with these privileges on all storages and all guests. */
async function remove(name: string, storage: readonly string[], guests: readonly string[] = []) {
  const pve = host();
  const { world } = pve.simulator;
  world.roles.set("Store", new Set(storage));
  world.roles.set("Guests", new Set(guests));
  const roles = { "/storage": "Store", "/vms": "Guests" };
  addToken(world, { id: keeper.tokenId, secret: keeper.secret, roles });
  const path = `/nodes/pve1/storage/nfs-shared/content/${encodeURIComponent(`nfs-shared:${name}`)}`;
  return pve.request("DELETE", path, {}, keeper);
}

test.each([
  ["that is there", there],
  ["that is not there", "backup/vzdump-lxc-200-2020_01_01-00_00_00.tar.zst"],
])("a backup %s wants AllocateSpace and VM.Backup, by its name", async (_, name) => {
  const vmid = /-(\d+)-/.exec(name)?.[1];
  expect((await remove(name, ["Datastore.AllocateSpace"], ["VM.Backup"])).status).toBe(200);
  const guest = await remove(name, ["Datastore.AllocateSpace"]);
  expect(guest).toMatchObject({ status: 403 });
  expect(guest.reason).toContain(`/vms/${vmid}, VM.Backup`);
  const store = await remove(name, ["Datastore.Allocate"], ["VM.Backup"]);
  expect(store.reason).toContain("/storage/nfs-shared, Datastore.AllocateSpace");
});

test.each([
  "iso/not-there.iso",
  "iso/virtio-win-0.1.285.iso",
  "101/vm-101-disk-9.qcow2",
  "backup/vzdump-by-hand.tar.zst",
])("anything else wants Datastore.Allocate: %s", async (name) => {
  expect((await remove(name, ["Datastore.Allocate"])).status).toBe(200);
  const refused = await remove(name, ["Datastore.AllocateSpace"], ["VM.Backup"]);
  expect(refused).toMatchObject({ status: 403 });
  expect(refused.reason).toContain("/storage/nfs-shared, Datastore.Allocate");
});

import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const disks = ["local-lvm:8"];

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const create = (args: Record<string, unknown> = {}) =>
  server.call("create_vm", { name: "new-1", disks, ...args });
const unsent = () => expect(server.simulator.log.changes()).toEqual([]);

test("more memory than any node has free: conflict with the most that is free", async () => {
  for (const dry_run of [true, false]) {
    const { kind, text, facts } = await create({ memory: 900_000, dry_run });
    expect(kind).toBe("conflict");
    expect(text).toMatch(/900000 MiB.*pve\d has the most, and only [\d.]+ GiB/);
    expect(facts["argument"]).toBe("memory");
  }
  unsent();
});

test("on a node that was named it is only said", async () => {
  const { data, text } = await create({ memory: 900_000, node: "pve2", dry_run: true });
  expect(data["placement"]).toMatch(/^pve2, but only [\d.]+ GiB of memory are free there$/);
  expect(text).toContain("only");
  expect((await create({ node: "pve2", dry_run: true })).data["placement"]).toBeUndefined();
});

test.each([
  ["create_vm", { disks: ["local-lvm:900000"] }, "local-lvm"],
  ["create_vm", { disks: ["nfs-shared:900000"] }, "nfs-shared"],
  ["create_vm", { disks: [1, 2, 3].map(() => "local-lvm:300000") }, "local-lvm"],
  ["create_container", { template: "debian-13-standard", rootfs: "local-lvm:900000" }, "local-lvm"],
])("a disk for which there is no room: conflict (%s %o)", async (tool, args, storage) => {
  const { kind, text, facts } = await server.call(tool, { name: "new-1", ...args });
  expect(kind).toBe("conflict");
  expect(text).toMatch(
    new RegExp(`${storage} has no room for [\\d.]+ TiB: at most [\\d.]+ [GT]iB`),
  );
  expect(facts["storage"]).toBe(storage);
  unsent();
});

test("on a node that was named a disk may be larger than what is free, never than the storage", async () => {
  const inventory = server.proxmox.lookup.last;
  const row = inventory?.storages.find(
    ({ storage, node }) => storage === "local-lvm" && node === "pve1",
  );
  const gib = Math.floor((row?.sizeBytes ?? 0) / 1024 ** 3);
  const named = (size: number) =>
    create({ node: "pve1", disks: [`local-lvm:${size}`], dry_run: true });
  expect((await named(gib - 1)).data["placement"]).toMatch(/are free on local-lvm$/);
  expect((await named(gib + 2)).kind).toBe("conflict");
});

test("what came to nothing does not count where it was to be", async () => {
  const plan = async () => (await create({ name: "new-2", dry_run: true })).data["placement"];
  const before = await plan();
  const memory = 16_384;
  const { faults } = server.simulator;
  faults.reply({ status: 500, reason: "no" }, { method: "POST", path: /qemu$/, times: 1 });
  expect((await create({ memory })).isError).toBe(true);
  expect(await plan()).toBe(before);
  expect((await create({ memory, disks: ["local-lvm:8"] })).isError).toBe(false);
  expect(await plan()).not.toBe(before);
});

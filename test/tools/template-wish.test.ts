import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";
import { successor } from "../successor.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const order = { name: "t7", url, storage: "local-lvm", node: "pve1" };
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";
const whole = {
  ...order,
  size: 10,
  cores: 2,
  memory: 4096,
  nics: ["vmbr0,firewall=1"],
  user: "debian",
  ssh_keys: [key],
  tags: ["Golden"],
  options: {
    description: "golden\n",
    agent: "enabled=1,fstrim_cloned_disks=1",
    onboot: true,
    vmgenid: 1,
    cpu: "host",
    smbios1: "manufacturer=QWNtZQ==,base64=1",
    scsi1: "local-lvm:1",
  },
};

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const create = (args: Record<string, unknown>, from = server) => from.call("create_template", args);
const template = () =>
  [...server.simulator.world.guests.values()].find(({ config }) => config["name"] === "t7");

const others: readonly [string, Record<string, unknown>, RegExp][] = [
  ["storage", { storage: "ceph-vm" }, /storage \(ceph-vm wished, local-lvm there\)/],
  ["node", { node: "pve2" }, /node \(pve2 wished, pve1 there\)/],
  ["vmid", { vmid: 777 }, /vmid \(777 wished, \d+ there\)/],
  ["size", { size: 20 }, /size \(20 wished, /],
  ["cores", { cores: 8 }, /cores \(8 wished, 1 there\)/],
  ["memory", { memory: 8192 }, /memory \(8192 wished, 2048 there\)/],
  ["user", { user: "ops" }, /user \(ops wished, nothing there\)/],
  ["SSH keys", { ssh_keys: [key] }, /differs in ssh_keys\. /],
  ["tags", { tags: ["web"] }, /tags \(web;mcp wished, mcp there\)/],
  ["NIC", { nics: ["vmbr1"] }, /nics\[0\] \(virtio,bridge=vmbr1 wished, virtio\S*,bridge=vmbr0/],
  ["second NIC", { nics: ["vmbr0", "vmbr0"] }, /nics\[1\] \(virtio,bridge=vmbr0 wished, nothing/],
  ["option", { options: { onboot: true } }, /options\.onboot \(1 wished, 0 there\)/],
];

describe("a template of the same image, wished with another", () => {
  test.each(others)("%s: conflict, once it is there", async (_, args, text) => {
    await create(order);
    const mark = server.simulator.log.mark();
    const again = await create({ ...order, ...args });
    expect(again.kind).toBe("conflict");
    expect(again.text).toMatch(text);
    expect(again.text).toContain(`update_guest {guest: "${template()?.vmid}"}`);
    expect((await create({ ...order, ...args, dry_run: true })).kind).toBe("conflict");
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test.each(others)("%s: conflict, while it is being made", async (_, args, text) => {
    expect((await create({ ...order, wait_s: 0 })).data["status"]).toBe("creating");
    const mark = server.simulator.log.mark();
    const other = await create({ ...order, ...args });
    expect(server.simulator.log.changes(mark)).toEqual([]);
    expect(other.kind).toBe("conflict");
    expect(other.text).toContain("is being made right now");
    expect(other.text).toMatch(text);
    expect((await create(order)).text).toContain("is a template");
  });
});

test("the same call, with all there is: waits, goes on in another server, and finds it there", async () => {
  expect((await create({ ...whole, wait_s: 0 })).data["status"]).toBe("creating");
  expect((await create(whole)).text).toContain("is a template");
  const again = await create(whole);
  expect(again.data).toMatchObject({ changed: false, status: "stopped" });
  await server.clock.advance(20_000);
  const next = await successor(server);
  expect((await create(whole, next)).data["changed"]).toBe(false);
});

test("one that is not converted yet: conflict for other values, the same call goes on", async () => {
  const reason = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout";
  server.simulator.faults.reply({ status: 500, reason }, { path: /template$/, times: 1 });
  expect((await create(whole)).kind).toBe("busy");
  await server.clock.advance(20_000);
  const other = await create({ ...whole, cores: 4 });
  expect(other.kind).toBe("conflict");
  expect(other.text).toContain("cores (4 wished, 2 there)");
  expect(template()?.config["template"]).toBeUndefined();
  expect((await create(whole)).text).toContain("is a template");
});

test("changed as the conflict says: there as it is wished", async () => {
  await create(order);
  const wished = { ...order, memory: 8192, tags: ["web"] };
  expect((await create(wished)).kind).toBe("conflict");
  const set = { memory: 8192, tags: "web;mcp;more" };
  const updated = await server.call("update_guest", { guest: "t7", set });
  expect(updated.kind).toBe("");
  expect((await create(wished)).data["changed"]).toBe(false);
});

test("two guests of that name: ambiguous, nothing sent", async () => {
  await create(order);
  server.simulator.outside.setConfig(302, { name: "t7" });
  await server.clock.advance(20_000);
  await server.call("list_guests", { max_age_s: 0 });
  const mark = server.simulator.log.mark();
  const { kind, text } = await create(order);
  expect(kind).toBe("ambiguous");
  expect(text).toMatch(/"t7" is VM 100 on pve1 and VM 302 on pve2 already/);
  expect(server.simulator.log.changes(mark)).toEqual([]);
});

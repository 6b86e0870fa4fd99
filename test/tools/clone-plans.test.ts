import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { beforeEach, describe, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";
const settings = { user: "ops", ips: ["dhcp"], ssh_keys: [key], start: true };

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const clone = (args: Record<string, unknown>) => server.call("clone_vm", { vm: "9000", ...args });
const rows = (data: Readonly<Record<string, unknown>>) =>
  data["results"] as readonly { readonly name: string; readonly vmid: number }[];

describe("a series that is only planned", () => {
  test("has a vmid for each, one plan for all, and sends nothing", async () => {
    const { data, text } = await clone({ name: "z-01", count: 3, dry_run: true, cores: 4 });
    expect(rows(data).map(({ name }) => name)).toEqual(["z-01", "z-02", "z-03"]);
    expect(new Set(rows(data).map(({ vmid }) => vmid)).size).toBe(3);
    expect(text.match(/POST \/nodes/g)).toHaveLength(1);
    for (const { name, vmid } of rows(data)) expect(text).toContain(`${vmid} (${name})`);
    expect(server.simulator.log.changes()).toEqual([]);
    const again = await clone({ name: "z-01", count: 3, dry_run: true });
    expect(rows(again.data)).toEqual(rows(data));
  });

  test("names those that can't be made", async () => {
    const { data, text } = await clone({ name: "web-2", count: 3, dry_run: true });
    expect(rows(data).map(({ name }) => name)).toEqual(["web-4"]);
    expect(text).toMatch(/Against it: conflict: "web-2" is VM.*Against it: conflict: "web-3"/s);
    expect((await clone({ name: "web-1", count: 2, dry_run: true })).kind).toBe("conflict");
  });

  test("of twenty stays small, and so does the answer when they are made", async () => {
    const order = { name: "y-01", count: 20, ...settings };
    const plan = await clone({ ...order, dry_run: true });
    const made = await clone({ ...order, wait_s: 300 });
    for (const { text, data } of [plan, made]) {
      expect(encode(text).length).toBeLessThan(2_000);
      expect(encode(JSON.stringify(data)).length).toBeLessThan(2_000);
    }
  });
});

describe("what the real call is refused for is told by the plan, and nothing is sent", () => {
  test.each([
    ["a node that local disks don't reach", { vm: "302", node: "pve1" }, "conflict", /local disk/],
    ["a linked clone of no template", { vm: "302", full: false }, "conflict", /no template/],
    ["a snapshot that is not there", { vm: "wiki", snapshot: "nope" }, "not_found", /no snapshot/],
    ["an address without a NIC", { ips: ["dhcp", "dhcp"] }, "invalid_input", /no NIC/],
  ])("%s", async (_, args, kind, text) => {
    const plan = await clone({ name: "app-1", ...args, dry_run: true });
    expect(plan.text).toMatch(new RegExp(`Against it: ${kind}: .*${text.source}`));
    const real = await clone({ name: "app-1", ...args });
    expect(real.kind).toBe(kind);
    expect(real.text).toMatch(text);
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("a container's features that only root@pam may set", async () => {
    const order = { name: "app-1", template: "debian-13-standard", rootfs: "local-lvm:4" };
    const create = (args: Record<string, unknown>) =>
      server.call("create_container", { ...order, ...args });
    const plan = await create({ features: ["keyctl=1"], dry_run: true });
    expect(plan.text).toMatch(/Against it: forbidden: features keyctl=1.*root@pam/);
    expect((await create({ features: ["keyctl=1"] })).kind).toBe("forbidden");
    expect((await create({ dry_run: true })).text).not.toContain("Against");
  });
});

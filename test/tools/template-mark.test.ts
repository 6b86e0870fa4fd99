import { beforeEach, expect, test } from "vitest";
import { type Lab, lab } from "../kit.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const order = { name: "debian-13", url, storage: "local-lvm" };

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const create = (args: Record<string, unknown> = {}) =>
  server.call("create_template", { ...order, ...args });
const guest = (vmid: unknown) => server.simulator.world.guests.get(Number(vmid));
const conversions = () => server.simulator.log.filter({ method: "POST", path: /template$/ });

/** A VM of ours whose conversion has failed. */
async function unfinished(args: Record<string, unknown> = {}): Promise<number> {
  const reason = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout";
  server.simulator.faults.reply({ status: 500, reason }, { path: /template$/, times: 1 });
  expect((await create(args)).kind).toBe("busy");
  await server.clock.advance(20_000);
  const found = [...server.simulator.world.guests.values()].find(
    ({ config }) => config["name"] === "debian-13",
  );
  expect(found?.config["template"]).toBeUndefined();
  return Number(found?.vmid);
}

test("a clone of the template is not converted, though it inherits tag and notes", async () => {
  const { data } = await create();
  const { data: clone } = await server.call("clone_vm", { vm: "debian-13", name: "copy" });
  const made = guest(clone["vmid"]);
  expect(made?.config["description"]).toBe(guest(data["vmid"])?.config["description"]);
  expect(made?.config["tags"]).toBe("mcp");
  const { kind, text } = await create({ name: "copy" });
  expect(kind).toBe("conflict");
  expect(text).toContain(`VM ${clone["vmid"]}`);
  expect(made?.config["template"]).toBeUndefined();
  expect(conversions()).toHaveLength(1);
});

test("a VM made by hand whose note names the image is not converted", async () => {
  const notes = { description: `Made from ${url}`, name: "debian-13", tags: "mcp" };
  server.simulator.outside.setConfig(302, notes);
  await server.clock.advance(20_000);
  expect((await create()).kind).toBe("conflict");
  expect(conversions()).toHaveLength(0);
});

test("ours, but without our tag by now: conflict", async () => {
  const vmid = await unfinished();
  server.simulator.outside.setConfig(vmid, { tags: "production" });
  expect((await create()).kind).toBe("conflict");
  expect(guest(vmid)?.config["template"]).toBeUndefined();
});

test("ours, but running by now: conflict, and dry_run says so", async () => {
  const vmid = await unfinished();
  await server.call("start_guest", { guest: String(vmid) });
  const plan = await create({ dry_run: true });
  expect(plan.data["plan"]).toMatchObject({ against: [{ kind: "conflict" }] });
  expect(plan.text).toMatch(/Against it: conflict: VM \d+ on pve\d is running/);
  const refused = await create();
  expect(refused.kind).toBe("conflict");
  expect(refused.text).toContain("stop_guest");
  expect(conversions()).toHaveLength(1);
});

test("notes of one's own stand before the mark, and the same call goes on or finds it there", async () => {
  const options = { description: "golden\n", smbios1: "manufacturer=QWNtZQ==,base64=1" };
  const vmid = await unfinished({ options });
  expect(guest(vmid)?.config["description"]).toMatch(/^golden\n\nMade from https:\S+/);
  expect(guest(vmid)?.config["smbios1"]).toMatch(/^uuid=[0-9a-f-]{36},manufacturer=/);
  expect((await create({ options })).text).toContain("is a template");
  expect((await create({ options })).data["changed"]).toBe(false);
  expect((await create()).data["changed"]).toBe(false);
});

test("an image of a very long address has a name that Proxmox takes, and is found again by it", async () => {
  const url = `https://mirror.example/${"long-".repeat(60)}.qcow2`;
  server.simulator.world.web.set(url, { sizeBytes: 1024 ** 2, bytes: "an image" });
  const order = { name: "long", url, storage: "local-lvm", wait_s: 300 };
  const made = await server.call("create_template", order);
  expect(made.text).toContain("is a template");
  const posts = () =>
    server.simulator.log.changes().filter(({ path }) => path.endsWith("/download-url"));
  expect(String(posts()[0]?.body["filename"])).toMatch(/^(?:long-){30,40}.*-[0-9a-f]{12}\.qcow2$/);
  await server.call("create_template", { ...order, name: "longer" });
  expect(posts()).toHaveLength(1);
});

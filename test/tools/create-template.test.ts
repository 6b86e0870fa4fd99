import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

const url =
  "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2";
const sha256 = createHash("sha256").update(url).digest("hex");
const order = { name: "debian-13", url, storage: "local-lvm" };
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const create = (args: Record<string, unknown> = {}, from = server) =>
  from.call("create_template", { ...order, ...args });
const guest = (vmid: unknown, from = server) => from.simulator.world.guests.get(Number(vmid));
const sent = (path: RegExp, from = server) => from.simulator.log.filter({ method: "POST", path });

describe("create_template", () => {
  test("makes one of a cloud image in one call", async () => {
    const made = await create({
      checksum: sha256,
      size: 10,
      user: "debian",
      ssh_keys: [key],
      cores: 2,
    });
    expect(made.data).toMatchObject({ name: "debian-13", status: "stopped", changed: true });
    const { vmid, node } = made.data;
    expect(made.text).toContain(`VM ${vmid} (debian-13) on ${node} is a template`);
    expect(made.text).toContain("most free memory");
    expect(guest(vmid)?.config).toMatchObject({
      template: "1",
      tags: "mcp",
      scsi0: `local-lvm:base-${vmid}-disk-0,size=10G`,
      ide2: expect.stringContaining("cloudinit"),
      ciuser: "debian",
      ipconfig0: "ip=dhcp",
      serial0: "socket",
      description: expect.stringContaining(sha256),
    });
    expect(sent(/download-url$/)[0]?.body).toMatchObject({ content: "import", checksum: sha256 });
    expect(sent(/qemu$/)[0]?.body["scsi0"]).toEqual(
      expect.stringMatching(
        /^local-lvm:0,import-from=local:import\/debian-13-genericcloud-amd64-[0-9a-f]{12}\.qcow2$/,
      ),
    );
    const clone = await server.call("clone_vm", { vm: "debian-13", name: "web-9", start: true });
    expect(clone.data).toMatchObject({ status: "running" });
  });

  test("tells how far it is over all steps, always forward", async () => {
    const told: { progress: number; message?: string | undefined }[] = [];
    await server.call(
      "create_template",
      { ...order, size: 10 },
      { onProgress: (one) => told.push(one) },
    );
    const messages = told.map(({ message = "" }) => message);
    for (const start of [
      "1/4 lets pve",
      "2/4 creates VM",
      "3/4 grows scsi0",
      "4/4 turns it into",
    ]) {
      expect(
        messages.some((message) => message.startsWith(start)),
        start,
      ).toBe(true);
    }
    expect(Math.max(...messages.map((message) => message.length))).toBeLessThanOrEqual(160);
    const steps = told.map(({ progress }) => progress);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  });

  test("asked for again: there already, nothing sent", async () => {
    await create();
    const mark = server.simulator.log.mark();
    const again = await create();
    expect(again.data).toMatchObject({ changed: false, status: "stopped" });
    expect(again.text).toContain("is there already");
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("of an image that is there sends no download, and says so", async () => {
    const first = await create();
    expect(first.data["reused"]).toBeUndefined();
    const plan = await create({ name: "second", dry_run: true });
    expect(plan.text).toMatch(/local:import\/debian-13-\S+ of an earlier call is used again/);
    const second = await create({ name: "second" });
    expect(second.data["reused"]).toMatch(/^local:import\/debian-13-/);
    expect(sent(/download-url$/)).toHaveLength(1);
  });

  test("with a checksum has what is there compared only, and takes no file of another", async () => {
    await create({ checksum: sha256 });
    const second = await create({ name: "second", checksum: sha256.toUpperCase() });
    expect(second.data["reused"]).toMatch(/^local:import\/debian-13-/);
    const upid = Object(sent(/download-url$/)[1]?.response).data;
    const { text } = await server.call("get_tasks", { upid, log_lines: 20 });
    expect(text).toContain("got correct file already");
    const wrong = await create({ name: "third", checksum: "0".repeat(64) });
    expect(wrong.kind).toBe("task_failed");
    expect(wrong.text).toContain("checksum mismatch");
    expect(sent(/qemu$/)).toHaveLength(2);
  });

  test.each([
    ["directory", url.replace("latest", "daily")],
    ["query", `${url}?build=2`],
  ])("of an address that ends alike, with another %s: another file", async (_, other) => {
    server.simulator.world.web.set(other, { sizeBytes: 1024 ** 3, bytes: other });
    await create();
    const { data } = await create({ name: "second", url: other });
    expect(data).toMatchObject({ status: "stopped", changed: true });
    expect(data["reused"]).toBeUndefined();
    const names = sent(/download-url$/).map(({ body }) => body["filename"]);
    expect(new Set(names).size).toBe(2);
    expect((await create({ url: other })).kind).toBe("conflict");
  });

  test("of an Ubuntu image, whose .img is a qcow2", async () => {
    const ubuntu = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
    const { data } = await create({ name: "noble", url: ubuntu, image_storage: "nfs-shared" });
    expect(data["changed"]).toBe(true);
    expect(sent(/qemu$/)[0]?.body["scsi0"]).toMatch(
      /^local-lvm:0,import-from=nfs-shared:import\/noble-server-cloudimg-amd64-\w+\.qcow2$/,
    );
  });

  test("with dry_run shows every request and sends none", async () => {
    const { data, text } = await create({ dry_run: true, size: 10, node: "pve2" });
    expect(server.simulator.log.changes()).toEqual([]);
    const { vmid } = data;
    for (const line of [
      "POST /nodes/pve2/storage/local/download-url",
      "POST /nodes/pve2/qemu {",
      `PUT /nodes/pve2/qemu/${vmid}/resize`,
      `POST /nodes/pve2/qemu/${vmid}/template`,
    ]) {
      expect(text).toContain(line);
    }
  });

  test("works for a token that is not root's", async () => {
    const secret = "99999999-0000-4000-8000-000000000009";
    const { world } = server.simulator;
    world.roles.set("Net", new Set(["Sys.AccessNetwork"]));
    const roles = {
      "/storage": "PVEDatastoreAdmin",
      "/vms": "PVEVMAdmin",
      "/sdn": "PVESDNUser",
      "/nodes": "Net",
    };
    addToken(world, { id: "maker@pve!t", secret, roles, privsep: false });
    const own = await lab({ world, token: { tokenId: "maker@pve!t", secret } });
    const { text, data } = await create({}, own);
    expect(text).toContain("is a template");
    expect(guest(data["vmid"], own)?.config["template"]).toBe("1");
  });
});

describe("interrupted", () => {
  test("out of time: goes on by itself, and the same call waits for it", async () => {
    const first = await create({ wait_s: 0 });
    expect(first.data).toMatchObject({ status: "creating", task: { state: "running" } });
    const second = await create();
    expect(second.data).toMatchObject({
      vmid: first.data["vmid"],
      status: "stopped",
      changed: true,
    });
    expect(second.text).toContain("is a template");
    expect(sent(/download-url$|qemu$|template$/)).toHaveLength(3);
  });

  test("cancelled: goes on by itself, and the same call waits for it", async () => {
    const stop = new AbortController();
    const begun = server.begin("create_template", order, { signal: stop.signal });
    const given = expect(begun).rejects.toThrow();
    await server.clock.advance(600);
    stop.abort();
    await given;
    expect((await create()).text).toContain("is a template");
    expect(sent(/download-url$|qemu$|template$/)).toHaveLength(3);
  });

  test("another image under the name that is being made: conflict", async () => {
    await create({ wait_s: 0 });
    const other = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
    expect((await create({ url: other })).kind).toBe("conflict");
  });
});

describe("refused", () => {
  test.each([
    ["a name that is taken", { name: "web-1" }, /^conflict.*VM 101/s],
    ["a storage without disks", { storage: "local" }, /^invalid_input.*images/s],
    ["an image storage without images", { image_storage: "local-lvm" }, /^invalid_input.*import/s],
    ["a packed image", { url: "https://example.org/x.qcow2.xz" }, /^invalid_input/],
    ["half a checksum", { checksum: "abc" }, /^invalid_input/],
    ["no address", { url: "debian" }, /^invalid_input/],
    ["a storage that is not there", { storage: "nope" }, /^not_found/],
  ])("%s", async (_, args, text) => {
    const { kind, text: told } = await create(args);
    expect(`${kind}: ${told}`).toMatch(text);
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("a template of the same name from another image: conflict", async () => {
    await create();
    const other = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img";
    expect((await create({ url: other })).kind).toBe("conflict");
  });

  test("a wrong checksum: task_failed, no VM, and the name is free again", async () => {
    const { kind } = await create({ checksum: "0".repeat(64) });
    expect(kind).toBe("task_failed");
    expect(sent(/qemu$/)).toHaveLength(0);
    expect((await create({ checksum: sha256 })).text).toContain("is a template");
  });

  test("a conversion that fails is told, and the same call tries it again", async () => {
    const reason = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout";
    server.simulator.faults.reply({ status: 500, reason }, { path: /template$/, times: 1 });
    const failed = await create();
    expect(failed.kind).toBe("busy");
    const again = await create();
    expect(again.text).toContain("is a template");
    expect(sent(/download-url$/)).toHaveLength(1);
    expect(sent(/qemu$/)).toHaveLength(1);
  });

  test("without the right to call out: forbidden with the command", async () => {
    const secret = "99999999-0000-4000-8000-000000000009";
    const { world } = server.simulator;
    addToken(world, { id: "maker@pve!t", secret, roles: { "/": "PVEAdmin" } });
    const own = await lab({ world, token: { tokenId: "maker@pve!t", secret } });
    const { kind, text } = await create({}, own);
    expect(kind).toBe("forbidden");
    expect(text).toContain("Sys.AccessNetwork");
  });
});

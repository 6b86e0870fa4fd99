import { beforeEach, describe, expect, test } from "vitest";
import { auditorToken } from "../../src/simulator/demo-credentials.ts";
import { addToken } from "../../src/simulator/world-builder.ts";
import { type Lab, lab } from "../kit.ts";

const volid = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
const nginx = "docker.io/library/nginx:latest";
const rootfs = "local-lvm:4";
const password = "correct-horse-battery";
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  await server.call("list_guests");
});

const guest = (vmid: unknown, from = server) => from.simulator.world.guests.get(Number(vmid));
const posts = (path: RegExp, from = server) => from.simulator.log.filter({ method: "POST", path });
const create = (args: Record<string, unknown> = {}, from = server) =>
  from.call("create_container", { name: "new-1", template: volid, rootfs, ...args });

async function refused(args: Record<string, unknown>) {
  const { kind, text } = await create(args);
  expect(server.simulator.log.changes()).toEqual([]);
  return `${kind}: ${text}`;
}

describe("create_container", () => {
  test("makes an unprivileged one with nesting, where the template is", async () => {
    const made = await create({
      mounts: ["local-lvm:2,mp=/data"],
      nics: ["vmbr0,ip=192.0.2.60/24,gw=192.0.2.1,tag=7", "bridge=vmbr1,ip=dhcp,name=lan"],
      cores: 2,
      memory: 1024,
      ssh_keys: [key],
      password,
      pool: "staging",
      tags: ["web"],
      options: { onboot: true, swap: 0 },
      start: true,
    });
    expect(made.data).toMatchObject({
      type: "lxc",
      node: "pve1",
      status: "running",
      changed: true,
    });
    const { vmid } = made.data;
    expect(made.text).toContain(`container ${vmid} (new-1) on pve1 is created and running`);
    expect(made.text).toContain("pve1 is the only node");
    expect(guest(vmid)?.run.status).toBe("running");
    expect(guest(vmid)?.config).toMatchObject({
      hostname: "new-1",
      rootfs: `local-lvm:vm-${vmid}-disk-0,size=4G`,
      mp0: expect.stringContaining("mp=/data"),
      unprivileged: "1",
      features: "nesting=1",
      memory: "1024",
      onboot: "1",
      swap: "0",
      tags: "web;mcp",
      net0: expect.stringMatching(/^name=eth0,bridge=vmbr0,gw=.*ip=192.0.2.60\/24,tag=7/),
      net1: expect.stringMatching(/^name=lan,bridge=vmbr1/),
    });
    const [sent] = posts(/lxc$/);
    expect(sent?.body).toMatchObject({ "ssh-public-keys": key, ostemplate: volid });
    expect([made.text, JSON.stringify(made.data), ...server.logged].join()).not.toContain(password);
    expect(server.simulator.world.pools.get("staging")?.vmids).toContain(vmid);
  });

  test("without nesting where that is wished", async () => {
    const { data } = await create({ nesting: false });
    expect(guest(data["vmid"])?.config).not.toHaveProperty("features");
  });

  test("with dry_run shows every request and sends none", async () => {
    const { data, text } = await create({
      template: "alpine-3.22-default",
      node: "pve3",
      password,
      start: true,
      dry_run: true,
    });
    expect(server.simulator.log.changes()).toEqual([]);
    const { vmid } = data;
    expect(text).toContain("POST /nodes/pve3/aplinfo");
    expect(text).toContain('"template":"alpine-3.22-default_20250617_amd64.tar.xz"');
    expect(text).toContain("POST /nodes/pve3/lxc");
    expect(text).toContain('"password":"(hidden)"');
    expect(text).toContain(`POST /nodes/pve3/lxc/${vmid}/status/start`);
    expect(text + JSON.stringify(data)).not.toContain(password);
  });

  test("ten at once are ten, and fetch their template once", async () => {
    const names = Array.from({ length: 10 }, (_, index) => `many-${index}`);
    const args = { template: "debian-12-standard", rootfs, node: "pve2" };
    const calls = names.map((name) => server.begin("create_container", { name, ...args }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(answers.map(({ kind, text }) => kind && text)).toEqual(Array(10).fill(""));
    expect(new Set(answers.map(({ data }) => data["vmid"])).size).toBe(10);
    expect(posts(/aplinfo$/)).toHaveLength(1);
  });
});

describe("an appliance template", () => {
  test("by name is used where it is there", async () => {
    const { data } = await create({ template: "debian-13-standard", node: "pve1" });
    expect(data["changed"]).toBe(true);
    expect(posts(/aplinfo$/)).toHaveLength(0);
    expect(posts(/lxc$/)[0]?.body["ostemplate"]).toBe(volid);
  });

  test("is downloaded first where it is not, told on the way, and once", async () => {
    const told: string[] = [];
    const args = {
      name: "new-1",
      template: "debian-13-standard",
      rootfs,
      node: "pve2",
      start: true,
    };
    const onProgress = ({ message = "" }) => void told.push(message);
    const { data, text } = await server.call("create_container", args, { onProgress });
    expect(text).toContain("is created and running");
    expect(guest(data["vmid"])?.node).toBe("pve2");
    expect(server.simulator.world.volumes.has(`pve2/${volid}`)).toBe(true);
    expect(told.some((line) => line.startsWith("1/3 lets pve2 download"))).toBe(true);
    expect(told.some((line) => line.startsWith("3/3 starts it"))).toBe(true);
    expect((await create({ name: "new-2", node: "pve2" })).kind).toBe("");
    expect(posts(/aplinfo$/)).toHaveLength(1);
  });

  test("goes on to the container though nobody waits", async () => {
    const args = { template: "ubuntu-24.04-standard", node: "pve3", wait_s: 0 };
    const { data, text } = await create(args);
    expect(data).toMatchObject({ status: "creating", task: { state: "running" } });
    expect(text).toContain("what follows it goes on by itself");
    expect((await create(args)).kind).toBe("conflict");
    await server.clock.advance(60_000);
    expect(guest(data["vmid"])?.config["hostname"]).toBe("new-1");
  });

  test("that cannot be downloaded ends it: no container, its name is free again", async () => {
    const { web } = server.simulator.world;
    for (const url of web.keys()) if (url.includes("alpine-3.22")) web.delete(url);
    const failed = await create({ template: "alpine-3.22-default", node: "pve2" });
    expect(failed.kind).toBe("task_failed");
    expect(posts(/lxc$/)).toHaveLength(0);
    expect((await create()).kind).toBe("");
  });

  test("that nobody knows: not_found with the closest", async () => {
    expect(await refused({ template: "debian-31-standard" })).toMatch(
      /^not_found.*debian-13-standard/s,
    );
  });

  test("goes to a storage by download_storage too", async () => {
    const args = { storage: "local", node: "pve3", content: "vztmpl", url: "debian-12-standard" };
    const planned = await server.call("download_storage", { ...args, dry_run: true });
    expect(planned.text).toContain("POST /nodes/pve3/aplinfo");
    const { data, text } = await server.call("download_storage", args);
    const file = "local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst";
    expect(data).toMatchObject({ volid: file, node: "pve3", status: "present", changed: true });
    expect(text).toContain("was downloaded");
    expect(server.simulator.world.volumes.has(`pve3/${file}`)).toBe(true);
    const again = await server.call("download_storage", args);
    expect(again.data).toMatchObject({ volid: file, changed: false });
    expect(again.text).toContain("was there already");
    const odd = await server.call("download_storage", { ...args, filename: "x.tar.gz" });
    expect(odd.kind).toBe("invalid_input");
    expect(posts(/aplinfo$/)).toHaveLength(1);
  });
});

describe("an OCI image", () => {
  test("is pulled once, and the second container sends no pull", async () => {
    const first = await create({ template: nginx, node: "pve2", start: true });
    expect(first.text).toContain("is created and running");
    const second = await create({ name: "new-2", template: nginx, node: "pve2" });
    expect(second.data["changed"]).toBe(true);
    expect(posts(/oci-registry-pull$/)).toHaveLength(1);
    const file = "local:vztmpl/docker.io_library_nginx_latest.tar";
    expect(posts(/lxc$/).map(({ body }) => body["ostemplate"])).toEqual([file, file]);
  });

  test("of another registry is not taken for it", async () => {
    const other = "ghcr.io/library/nginx:latest";
    server.simulator.world.web.set(`docker://${other}`, { sizeBytes: 1, bytes: "" });
    await create({ template: nginx, node: "pve2" });
    await create({ name: "new-2", template: other, node: "pve2" });
    expect(posts(/oci-registry-pull$/).map(({ body }) => body["reference"])).toEqual([
      nginx,
      other,
    ]);
  });

  test("goes to a storage by download_storage too, and is left alone the second time", async () => {
    const args = { storage: "local", node: "pve1", content: "vztmpl", url: `docker://${nginx}` };
    expect((await server.call("download_storage", args)).data["changed"]).toBe(true);
    expect((await server.call("download_storage", args)).data["changed"]).toBe(false);
    expect(posts(/oci-registry-pull$/)).toHaveLength(1);
  });

  test("before PVE 9.1 is refused clearly, nothing sent", async () => {
    const old = await lab({ version: "8.4" });
    const { kind, text } = await create({ template: nginx, node: "pve1" }, old);
    expect(kind).toBe("unsupported");
    expect(text).toMatch(/pve1 runs PVE 8\.4.*need 9\.1/s);
    expect(old.simulator.log.changes()).toEqual([]);
    const url = { storage: "local", node: "pve1", content: "vztmpl", url: nginx };
    expect((await old.call("download_storage", url)).kind).toBe("unsupported");
    expect((await create({ template: "debian-13-standard", node: "pve1" }, old)).kind).toBe("");
  });

  test("that the registry does not have fails as a task", async () => {
    const { kind, text } = await create({ template: "docker.io/library/nope:1", node: "pve1" });
    expect(kind).toBe("task_failed");
    expect(text).toContain("ociregistrypull");
  });
});

describe("refused before anything is sent", () => {
  test.each([
    ["an image without a tag", { template: "docker.io/library/nginx" }, /nginx:latest/],
    ["an ISO as template", { template: "local:iso/x.iso" }, /^invalid_input/],
    ["a template that is not there", { template: "local:vztmpl/x.tar.gz" }, /^not_found/],
    ["a name that is taken", { name: "dns-1" }, /^conflict/],
    ["a vmid that is taken", { vmid: 200 }, /^conflict.*container 200/s],
    ["a storage of other content", { rootfs: "local:4" }, /^invalid_input.*rootdir/s],
    ["a root without a storage", { rootfs: "8" }, /^invalid_input.*rootfs/s],
    ["a mount without a place", { mounts: ["local-lvm:4"] }, /mp=\/data/],
    ["an address without prefix", { nics: ["vmbr0,ip=192.0.2.5"] }, /^invalid_input/],
    ["an unknown option", { options: { cors: 2 } }, /^invalid_input.*cores/s],
    [
      "a template storage without templates",
      { template: "debian-12-standard", template_storage: "local-lvm" },
      /^invalid_input.*vztmpl/s,
    ],
    ["a private key", { ssh_keys: ["-----BEGIN PRIVATE KEY-----"] }, /private key/],
  ])("%s", async (_, args, text) => {
    expect(await refused(args)).toMatch(text);
  });
});

describe("refused by Proxmox", () => {
  const secret = "99999999-0000-4000-8000-000000000009";
  const token = { tokenId: "maker@pve!t", secret };

  async function maker(roles: Record<string, string>) {
    addToken(server.simulator.world, { id: token.tokenId, secret, roles });
    return lab({ world: server.simulator.world, token });
  }

  test("without the right: names the privilege and the command", async () => {
    const audit = { "/": "PVEAuditor" };
    const own = await maker({ ...audit, "/vms": "PVEVMAdmin" });
    const { kind, text } = await create({}, own);
    expect(kind).toBe("forbidden");
    expect(text).toContain("Datastore.AllocateSpace");
    expect(text).toContain("pveum acl modify /storage/local-lvm");
    const pulled = await create({ template: nginx, node: "pve1" }, own);
    expect(pulled.text).toContain("Datastore.AllocateTemplate");
    const auditor = await lab({ token: auditorToken });
    expect((await create({}, auditor)).text).toMatch(/^forbidden.*VM\.Allocate.*pveum/s);
  });

  test("what only root may: privileged needs Sys.Modify, keyctl is for root@pam", async () => {
    const { kind, text } = await create({ features: ["keyctl=1"] });
    expect(kind).toBe("forbidden");
    expect(text).toContain("root@pam");
    const roles = { "/": "PVEAdmin" };
    const own = await maker(roles);
    expect((await create({ unprivileged: false }, own)).text).toContain("Sys.Modify");
  });

  test("in the task: task_failed, and neither container nor name is left", async () => {
    const begun = server.begin("create_container", { name: "new-1", template: volid, rootfs });
    await server.clock.advance(0);
    server.simulator.world.volumes.delete(`pve1/${volid}`);
    const { kind } = await server.clock.run(begun);
    expect(kind).toBe("task_failed");
    expect((await server.call("get_container", { container: "new-1" })).kind).toBe("not_found");
  });

  test("a vmid taken meanwhile: the next one is used", async () => {
    const reason = "CT 100 already exists on node 'pve1'";
    server.simulator.faults.reply({ status: 500, reason }, { method: "POST", times: 1 });
    expect((await create()).data).toMatchObject({ changed: true, status: "stopped" });
    expect(posts(/lxc$/)).toHaveLength(2);
  });
});

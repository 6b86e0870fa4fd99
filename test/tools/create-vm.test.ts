import { beforeEach, describe, expect, test } from "vitest";
import { type Files, filesBelow } from "../../src/files.ts";
import { addImage, type Lab, lab } from "../kit.ts";

const image = "local:import/debian.qcow2";
const iso = "local:iso/debian-13.2.0-amd64-netinst.iso";
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExample ops@example.test";
const disks = ["local-lvm:8"];
const password = "correct-horse-battery";

let server: Lab;

beforeEach(async () => {
  server = await lab();
  addImage(server, "pve2", image);
  await server.call("list_guests");
});

const guest = (vmid: unknown, from = server) => from.simulator.world.guests.get(Number(vmid));
const create = (args: Record<string, unknown> = {}) =>
  server.call("create_vm", { name: "new-1", ...args });

describe("create_vm", () => {
  test("makes a blank VM, tagged as ours, and says where and under which number", async () => {
    const made = await create({
      disks,
      nics: ["vmbr0,tag=20,firewall=1"],
      tags: ["Web"],
      cores: 2,
    });
    expect(made.data).toMatchObject({
      name: "new-1",
      type: "qemu",
      status: "stopped",
      changed: true,
      task: { state: "ok" },
    });
    const { vmid, node, upid, placement } = made.data;
    expect(upid).toMatch(/^UPID:/);
    expect(placement).toContain(`${node} has the most free memory`);
    expect(made.text).toContain(`VM ${vmid} (new-1) on ${node} is created and stopped`);
    expect(made.text).toContain(String(placement));
    expect(guest(vmid)).toMatchObject({ node, config: { name: "new-1", cores: "2" } });
    expect(guest(vmid)?.config).toMatchObject({
      scsi0: `local-lvm:vm-${vmid}-disk-0,size=8G`,
      memory: "2048",
      tags: "web;mcp",
      boot: "order=scsi0;net0",
      net0: expect.stringMatching(/^virtio=[0-9A-F:]+,bridge=vmbr0,firewall=1,tag=20$/),
    });
    expect((await server.call("get_vm", { vm: "new-1" })).data).toMatchObject({ vmid });
    const listed = await server.call("list_guests", { name: "new-1", managed: true });
    expect(listed.data["guests"]).toHaveLength(1);
  });

  test("takes the node with the most free memory, and spreads several at once", async () => {
    const names = ["a-1", "a-2", "a-3"];
    const memory = 64 * 1024;
    const calls = names.map((name) => server.begin("create_vm", { name, disks, memory }));
    const answers = await server.clock.run(Promise.all(calls));
    expect(new Set(answers.map(({ data }) => data["node"])).size).toBeGreaterThan(1);
    expect(new Set(answers.map(({ data }) => data["vmid"])).size).toBe(3);
  });

  test("from an ISO goes where the ISO is, and starts from the disk once it is filled", async () => {
    const { data } = await create({ disks, iso, nics: ["e1000,bridge=vmbr1"], start: true });
    expect(data).toMatchObject({ node: "pve1", status: "running" });
    expect(data["placement"]).toContain("pve1 is the only node");
    expect(guest(data["vmid"])?.run.status).toBe("running");
    const { ide2, boot, net0 } = guest(data["vmid"])?.config ?? {};
    expect({ ide2, boot }).toEqual({
      ide2: `${iso},media=cdrom,size=784M`,
      boot: "order=scsi0;ide2;net0",
    });
    expect(net0).toMatch(/^e1000=.*bridge=vmbr1/);
  });

  test("from a cloud image imports it, grows the disk and tells cloud-init", async () => {
    const { data } = await create({
      disks: [`local-lvm:32,import-from=${image},discard=on`, "virtio1=local-lvm:1"],
      user: "debian",
      ssh_keys: [key],
      ips: ["192.0.2.50/24,gw=192.0.2.1", "2001:db8::5/64,gw=2001:db8::1", "dhcp"],
      nameservers: ["192.0.2.53", "2001:db8::53"],
      nics: ["vmbr0", "vmbr0", "vmbr0"],
      agent: true,
      start: true,
    });
    expect(data).toMatchObject({ node: "pve2", status: "running", task: { state: "ok" } });
    expect(guest(data["vmid"])?.config).toMatchObject({
      scsi0: expect.stringContaining("discard=on,size=32G"),
      virtio1: expect.stringContaining("size=1G"),
      ide2: expect.stringContaining("cloudinit"),
      ciuser: "debian",
      sshkeys: encodeURIComponent(key),
      ipconfig0: "ip=192.0.2.50/24,gw=192.0.2.1",
      ipconfig1: "ip6=2001:db8::5/64,gw6=2001:db8::1",
      ipconfig2: "ip=dhcp",
      nameserver: "192.0.2.53 2001:db8::53",
      agent: "enabled=1",
    });
    const [post] = server.simulator.log.changes();
    expect(post?.body["scsi0"]).toBe(`local-lvm:0,import-from=${image},discard=on`);
  });

  test("brings EFI and TPM disks, mapped devices and other options", async () => {
    Object.assign(server.simulator.world, { pciMappings: new Set(["gpu"]) });
    const { data, text } = await create({
      disks,
      bios: "ovmf",
      tpm: true,
      machine: "q35",
      cpu: "host",
      pci: ["gpu"],
      pool: "staging",
      options: { onboot: true, description: "by hand", serial0: "socket", balloon: 0 },
      start: true,
    });
    expect(text).toContain("running");
    expect(guest(data["vmid"])?.config).toMatchObject({
      efidisk0: expect.stringMatching(/efitype=4m,pre-enrolled-keys=1,size=4M$/),
      tpmstate0: expect.stringMatching(/size=4M,version=v2.0$/),
      hostpci0: "mapping=gpu,pcie=1",
      cpu: "host",
      onboot: "1",
      balloon: "0",
      serial0: "socket",
      description: "by hand",
    });
    expect(server.simulator.world.pools.get("staging")?.vmids).toContain(data["vmid"]);
  });

  test("that could not be started is there all the same, and told so", async () => {
    const { data, text, isError } = await create({ disks, pci: ["nope"], start: true });
    expect(isError).toBe(false);
    expect(data).toMatchObject({ status: "stopped", changed: true });
    expect(text).toContain("Warning: starts it failed: PCI device mapping not found for 'nope'");
    const who = `{guest: "${data["vmid"]}"`;
    expect(text).toContain(
      `. Mend that with update_guest ${who}, set: …}, then start_guest ${who}}`,
    );
  });

  test("at once answers what goes on, and finishes without anybody waiting", async () => {
    const args = { disks: [`local-lvm:9,import-from=${image}`], start: true, wait_s: 0 };
    const { data, text } = await create(args);
    expect(data).toMatchObject({ status: "creating", task: { state: "running" } });
    expect(text).toContain(`get_tasks {upid: "${data["upid"]}"`);
    await server.clock.advance(60_000);
    expect(guest(data["vmid"])?.run.status).toBe("running");
    expect(guest(data["vmid"])?.config["scsi0"]).toContain("size=9G");
  });

  test("tells how far it is, over all steps", async () => {
    const told: string[] = [];
    const args = { name: "new-1", disks: [`local-lvm:9,import-from=${image}`], start: true };
    await server.call("create_vm", args, { onProgress: ({ message = "" }) => told.push(message) });
    expect(told.some((text) => /^1\/3 creates VM \d+ .*transferred/.test(text))).toBe(true);
    expect(told.some((text) => text.startsWith("2/3 grows scsi0"))).toBe(true);
    expect(told.some((text) => text.startsWith("3/3 starts it"))).toBe(true);
  });

  test("with dry_run shows every request and sends none", async () => {
    const { data, text } = await create({
      disks: [`local-lvm:9,import-from=${image}`],
      password,
      start: true,
      dry_run: true,
    });
    expect(server.simulator.log.changes()).toEqual([]);
    expect(data["changed"]).toBe(false);
    expect(text).not.toContain(password);
    expect(JSON.stringify(data)).not.toContain(password);
    const vmid = data["vmid"];
    expect(text).toContain("POST /nodes/pve2/qemu {");
    expect(text).toContain('"cipassword":"(hidden)"');
    expect(text).toContain(`PUT /nodes/pve2/qemu/${vmid}/resize {"disk":"scsi0","size":"9G"}`);
    expect(text).toContain(`POST /nodes/pve2/qemu/${vmid}/status/start`);
    expect((await create({ disks })).data["vmid"]).toBe(vmid);
  });
});

describe("a password", () => {
  test("is sent and never told again", async () => {
    const { data, text } = await create({ disks, user: "ops", password });
    expect(guest(data["vmid"])?.config["cipassword"]).toBe(password);
    const all = [text, JSON.stringify(data), ...server.logged].join("\n");
    expect(all).not.toContain(password);
  });

  test("that Proxmox repeats in its refusal is taken out", async () => {
    const reason = `cipassword '${password}' is weak`;
    server.simulator.faults.reply({ status: 500, reason }, { method: "POST", times: 1 });
    const { isError, text } = await create({ disks, password });
    expect(isError).toBe(true);
    expect(text).not.toContain(password);
  });

  test("comes from a file below --files, and no model sees it", async () => {
    const { source } = filesBelow(".");
    const files: Files = { text: async () => `${password}\n`, source };
    const own = await lab({ files });
    const args = { name: "new-1", disks, password_file: "vm.txt" };
    const { data, text } = await own.call("create_vm", args);
    expect(guest(data["vmid"], own)?.config["cipassword"]).toBe(password);
    expect(text).not.toContain(password);
    const both = await own.call("create_vm", { ...args, name: "new-2", password });
    expect(both.kind).toBe("invalid_input");
    const without = await create({ disks, password_file: "vm.txt" });
    expect(without.kind).toBe("invalid_input");
  });
});

describe("vmids", () => {
  test("taken meanwhile: the next one is used", async () => {
    const { node } = (await create({ name: "scout", disks })).data;
    const reason = `unable to create VM 300 - VM 300 already exists on node 'pve1'`;
    server.simulator.faults.reply({ status: 500, reason }, { method: "POST", times: 1 });
    const { data } = await create({ disks, node });
    expect(data).toMatchObject({ changed: true, status: "stopped" });
    expect(server.simulator.log.count({ method: "POST", path: /qemu$/ })).toBe(3);
    const wished = await create({ name: "new-2", vmid: 101 });
    expect(wished.kind).toBe("conflict");
  });

  test("taken when the task looks: the next one is used, and the answer names it", async () => {
    const exitstatus = "unable to create VM 100 - VM 100 already exists on node 'pve1'";
    const upid = "UPID:pve1:00001234:00ABCDEF:6925A1B2:qmcreate:100:root@pam!mcp:";
    const once = (data: unknown, path: RegExp, method: "GET" | "POST" = "GET") =>
      server.simulator.faults.reply(
        { status: 200, body: JSON.stringify({ data }) },
        { method, path, times: 1 },
      );
    once(upid, /qemu$/, "POST");
    once({ status: "stopped", exitstatus }, /00001234.*status$/);
    once([], /00001234.*log$/);
    const begun = server.begin("create_vm", { name: "new-1", disks, start: true });
    await server.clock.advance(200);
    const { guests } = server.simulator.world;
    const some = guests.get(302);
    if (some) guests.set(100, { ...some, vmid: 100, config: { ...some.config, name: "faster" } });
    const { data, text } = await server.clock.run(begun);
    const made = server.simulator.log.filter({ method: "POST", path: /qemu$/ });
    expect(made).toHaveLength(2);
    expect(data).toMatchObject({ vmid: Number(made[1]?.body["vmid"]), status: "running" });
    expect(made[1]?.body["vmid"]).not.toBe(made[0]?.body["vmid"]);
    expect(text).toContain(`VM ${data["vmid"]} (new-1)`);
  });

  test("ten at once are ten", async () => {
    const names = Array.from({ length: 10 }, (_, index) => `many-${index}`);
    const calls = names.map((name) => server.begin("create_vm", { name, disks }));
    const answers = await server.clock.run(Promise.all(calls));
    const vmids = new Set(answers.map(({ data }) => data["vmid"]));
    expect(vmids.size).toBe(10);
    for (const { data } of answers) expect(guest(data["vmid"])?.config["name"]).toBe(data["name"]);
  });
});

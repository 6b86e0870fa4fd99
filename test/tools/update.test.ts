import { beforeEach, describe, expect, test } from "vitest";
import { guestOf, type Lab, lab } from "../kit.ts";

let server: Lab;

beforeEach(async () => {
  server = await lab();
});

const update = (guest: string | number, args: Record<string, unknown>) =>
  server.call("update_guest", { guest, ...args });
const world = (vmid: number) => guestOf(server.simulator.world, vmid);
const mac = "BC:24:11:00:00:65";

describe("update_guest of a VM", () => {
  test("sends eight options in one request, one task, and tells what waits for a restart", async () => {
    const set = {
      memory: 8192,
      cores: "4",
      notes: "front\nof house",
      tags: ["web", "prod", "Blue"],
      onboot: true,
      protection: true,
      startup: "order=2",
      net0: "tag=30",
    };
    const { data, text } = await update("web-1", { set });
    const { digest, ...sent } = server.simulator.log.changes()[0]?.body ?? {};
    expect(server.simulator.log.changes()).toHaveLength(1);
    expect(server.simulator.log.count({ path: /\/qemu\/101\/config$/, method: "POST" })).toBe(1);
    expect(Object.keys(sent).sort()).toEqual(
      "cores description memory net0 onboot protection startup tags".split(" "),
    );
    expect(digest).toMatch(/^[0-9a-f]{40}$/);
    expect(data).toMatchObject({ vmid: 101, node: "pve1", type: "qemu", changed: true });
    expect(data["task"]).toMatchObject({ state: "ok" });
    expect((data["pending"] as string[]).sort()).toEqual(["cores", "memory"]);
    expect(text).toContain("Waits for a restart");
    expect(text).toContain('restart_guest {guest: "101"}');
    const { config, pending, run } = world(101);
    expect(config).toMatchObject({
      description: "front\nof house",
      tags: "blue;prod;web",
      onboot: "1",
      net0: `virtio=${mac},bridge=vmbr0,firewall=1,tag=30`,
    });
    expect(pending).toEqual({ memory: "8192", cores: "4" });
    expect(run.status).toBe("running");
  });

  test("again sends nothing, and still says what waits", async () => {
    const set = { memory: 8192, tags: ["prod", "WEB"], net0: "virtio,bridge=vmbr0", onboot: false };
    await update("web-1", { set });
    const mark = server.simulator.log.mark();
    for (let round = 0; round < 5; round++) {
      const { data } = await update("web-1", { set });
      expect(data).toMatchObject({ changed: false, pending: ["memory"] });
    }
    expect(server.simulator.log.changes(mark)).toEqual([]);
  });

  test("knows 2 sockets of 2 cores for what they are", async () => {
    server.simulator.outside.setConfig(302, { sockets: "2", cores: "2" });
    const { text } = await update(302, { set: { sockets: 2, cores: "2", memory: "2048" } });
    expect(text).toContain("as wanted already; nothing was sent");
    expect(server.simulator.log.changes()).toEqual([]);
  });

  test("changes a NIC's bridge and keeps its MAC, VLAN and firewall flag", async () => {
    await update(302, { set: { "net0.tag": 20 } });
    await update(302, { set: { net0: "bridge=vmbr1" } });
    const nic = "virtio=BC:24:11:00:01:2E,bridge=vmbr1,firewall=1,tag=20";
    expect(world(302).config["net0"]).toBe(nic);
    const sent = server.simulator.log.changes().at(-1)?.body ?? {};
    expect(Object.keys(sent).sort()).toEqual(["digest", "net0"]);
    await update(302, { set: { net0: "model=e1000" }, unset: ["net0.tag"] });
    expect(world(302).config["net0"]).toBe("e1000=BC:24:11:00:01:2E,bridge=vmbr1,firewall=1");
  });

  test("changes a disk's option and keeps volume and size", async () => {
    await update(302, { set: { scsi0: "discard=ignore,cache=writeback" } });
    expect(world(302).config["scsi0"]).toBe(
      "local-lvm:vm-302-disk-0,cache=writeback,discard=ignore,iothread=1,size=16G,ssd=1",
    );
  });

  test("adds and removes what is named, and nothing else", async () => {
    await update(302, { set: { net1: "bridge=vmbr1" }, unset: ["agent", "numa"] });
    const { config } = world(302);
    expect(config["net1"]).toMatch(/^virtio=BC:24:11:.*,bridge=vmbr1$/);
    expect(config["agent"]).toBeUndefined();
    expect(config["net0"]).toContain("BC:24:11:00:01:2E");
    const again = await update(302, { unset: ["agent", "numa"] });
    expect(again.data).toMatchObject({ changed: false });
  });

  test("gives a new name that is found at once, and the vmid goes on meaning this guest", async () => {
    await server.call("get_vm", { vm: "staging-web-2" });
    await update("staging-web-2", { set: { name: "front-2" } });
    expect((await update(302, { set: { onboot: 1 } })).data["changed"]).toBe(true);
    expect((await server.call("get_vm", { vm: "front-2" })).data["vmid"]).toBe(302);
    expect((await server.call("get_vm", { vm: "staging-web-2" })).kind).toBe("not_found");
    expect((await update(302, { set: { cores: 4 } })).kind).toBe("");
    const { data } = await server.call("list_guests", { name: "front-*" });
    expect(data["guests"]).toMatchObject([{ vmid: 302, name: "front-2" }]);
  });

  test("sends cloud-init keys as PVE wants them, and a password to nobody else", async () => {
    const key = "ssh-ed25519 AAAAC3NzaC1l+x/y= me@home";
    const set = {
      sshkeys: [key],
      cipassword: "s3cret-pass",
      ciuser: "debian",
      ipconfig0: "ip=dhcp",
    };
    const dry = await update(302, { set, dry_run: true });
    expect(JSON.stringify(dry)).not.toContain("s3cret-pass");
    const done = await update(302, { set });
    expect(done.data["updated"]).toEqual(["sshkeys", "cipassword", "ciuser", "ipconfig0"]);
    expect(JSON.stringify(done) + server.logged.join()).not.toContain("s3cret-pass");
    expect(world(302).config).toMatchObject({ cipassword: "s3cret-pass", ciuser: "debian" });
    expect(decodeURIComponent(world(302).config["sshkeys"] ?? "")).toBe(key);
    const { cipassword: _, ...rest } = set;
    expect((await update(302, { set: rest })).data["changed"]).toBe(false);
  });

  test("drops the gateway with the static address", async () => {
    await update(302, { set: { ipconfig0: "ip=192.0.2.5/24,gw=192.0.2.1,ip6=auto" } });
    await update(302, { set: { ipconfig0: "ip=dhcp" } });
    expect(world(302).config["ipconfig0"]).toBe("ip=dhcp,ip6=auto");
  });

  test("changes the medium in a CD drive and ejects it", async () => {
    const iso = "nfs-shared:iso/virtio-win-0.1.285.iso";
    await update(302, { set: { ide3: iso } });
    expect(world(302).config["ide3"]).toContain(`${iso},media=cdrom`);
    await update(302, { set: { ide2: "none,media=cdrom" } });
    await update(302, { set: { ide2: iso } });
    expect(world(302).config["ide2"]).toMatch(`${iso},media=cdrom,size=`);
    await update(302, { set: { ide2: "none" } });
    expect(world(302).config["ide2"]).toBe("none,media=cdrom");
    await update(302, { unset: ["ide2"] });
    expect(world(302).config["ide2"]).toBeUndefined();
  });

  test("with dry_run reads only, and tells the request and each step", async () => {
    const args = { set: { memory: 8192 }, unset: ["agent"], dry_run: true };
    const { data, text } = await update("web-1", args);
    expect(server.simulator.log.changes()).toEqual([]);
    expect(data["plan"]).toMatchObject({
      requests: [{ method: "POST", params: { memory: "8192", delete: "agent" } }],
      changes: [
        { key: "memory", from: "4096", to: "8192" },
        { key: "agent", from: "1" },
      ],
    });
    expect(text).toContain("memory: 4096 → 8192");
    expect(text).toContain("agent: 1 → not set");
  });

  test("goes on without the caller", async () => {
    const { data, text } = await update("web-1", { set: { onboot: 1 }, wait_s: 0 });
    expect(data).toMatchObject({ changed: true, task: { state: "running" } });
    expect(text).toContain("get_tasks");
    await server.clock.advance(2_000);
    expect(world(101).config["onboot"]).toBe("1");
  });
});

describe("update_guest of a container", () => {
  test("is done at once; what can't be in effect yet is told", async () => {
    const set = { memory: 1024, net0: "tag=5", features: "nesting=0", name: "ns-1" };
    const { data, text } = await update("dns-1", { set });
    expect(data).toMatchObject({ vmid: 200, type: "lxc", changed: true, pending: ["features"] });
    expect(data["task"]).toBeUndefined();
    expect(text).toContain("is changed: memory, net0, features, hostname");
    expect(server.simulator.log.paths(0).filter((line) => line.startsWith("PUT"))).toEqual([
      "PUT /nodes/pve1/lxc/200/config",
    ]);
    expect(world(200).config).toMatchObject({
      memory: "1024",
      hostname: "ns-1",
      net0: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:C8,ip=dhcp,tag=5,type=veth",
    });
    expect((await server.call("get_container", { container: "ns-1" })).data["vmid"]).toBe(200);
    expect((await update("200", { set: { name: "ns-1" } })).data["changed"]).toBe(false);
  });
});

describe("afterwards", () => {
  test("the guest is read live, the others from memory", async () => {
    await server.call("get_vm", { vm: "web-1" });
    await server.call("get_vm", { vm: "web-2" });
    await server.call("get_container", { container: "dns-1" });
    await update("web-1", { set: { memory: 8192 } });
    await update("dns-1", { set: { memory: 1024 } });
    for (const [name, args] of [["get_vm", { vm: "web-2" }]] as const) {
      expect(await server.cost(name, args)).toBe(0);
    }
    const mark = server.simulator.log.mark();
    const { data } = await server.call("get_vm", { vm: "web-1", include: ["pending"] });
    expect(data["config"]).toMatchObject({ memory_mib: 8192 });
    expect(data["details"]).toMatchObject({
      pending: [{ key: "memory", value: "4096", pending: "8192" }],
    });
    expect(server.simulator.log.paths(mark)).toContain("GET /nodes/pve1/qemu/101/config");
    const ct = await server.call("get_container", { container: "dns-1" });
    expect(ct.data["config"]).toMatchObject({ memory_mib: 1024 });
  });
});

test.each([
  [102, "name", "VM 102"],
  [200, "hostname", "CT200"],
])(
  "%i, whose %s we have taken away, is called %s, and still the guest that was meant",
  async (vmid, option, name) => {
    await server.call("list_guests", { limit: 100 });
    expect((await update(vmid, { unset: [option] })).data).toMatchObject({ changed: true });
    for (const waitMs of [0, 5_000, 30_000]) {
      await server.clock.advance(waitMs);
      const { data } = await server.call("list_guests", { limit: 100 });
      const rows = data["guests"] as readonly { vmid: number; name?: string }[];
      expect(rows.find((row) => row.vmid === vmid)?.name).toBe(name);
    }
    expect((await update(vmid, { set: { onboot: true } })).isError).toBe(false);
    const stopped = await server.call("stop_guest", { guest: vmid, mode: "stop" });
    expect(stopped).toMatchObject({ isError: false, data: { vmid, name, changed: true } });
  },
);

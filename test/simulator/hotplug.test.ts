import { describe, expect, test } from "vitest";
import { addToken } from "../../src/simulator/world-builder.ts";
import { host } from "./host.ts";

const vm = (vmid: number, node: string) => `/nodes/${node}/qemu/${vmid}`;
const ct = (vmid: number, node: string) => `/nodes/${node}/lxc/${vmid}`;

/** What waits after a change of a running guest. */
async function waiting(path: string, form: Record<string, string | number>) {
  const pve = host();
  const reply = await pve.put(`${path}/config`, form);
  expect([form, reply.status]).toEqual([form, 200]);
  const { data } = await pve.get(`${path}/pending`);
  return data
    .filter((row: object) => "pending" in row || "delete" in row)
    .map((row: { key: string }) => row.key)
    .sort();
}

describe("a running VM", () => {
  const path = vm(101, "pve1");
  const disk = "local-lvm:vm-101-disk-0,discard=on,iothread=1,size=20G,ssd=1";

  test.each<[Record<string, string | number>, string[]]>([
    [{ name: "a", description: "b", tags: "c", onboot: 1, protection: 1, startup: "order=1" }, []],
    [{ ciuser: "a", ipconfig0: "ip=dhcp", nameserver: "192.0.2.1" }, []],
    [{ net0: "virtio=BC:24:11:00:00:65,bridge=vmbr1", net1: "virtio,bridge=vmbr0" }, []],
    [{ delete: "net0" }, []],
    [{ scsi1: "local-lvm:1", virtio0: "local-lvm:1" }, []],
    [{ sata0: "local-lvm:1" }, ["sata0"]],
    [{ ide2: "local:iso/debian-13.2.0-amd64-netinst.iso,media=cdrom" }, ["ide2"]],
    [{ scsi0: `${disk},backup=0,mbps_rd=100` }, []],
    [{ scsi0: disk.replace("discard=on", "discard=ignore") }, ["scsi0"]],
    [{ memory: 8192 }, ["memory"]],
    [{ cores: 3, sockets: 2, cpu: "host" }, ["cores", "cpu", "sockets"]],
    [{ cpulimit: 2, cpuunits: 50 }, []],
    [{ boot: "order=net0", bios: "ovmf", scsihw: "lsi" }, ["bios", "boot", "scsihw"]],
    [{ agent: "1,fstrim_cloned_disks=1" }, []],
    [{ agent: "0" }, ["agent"]],
    [{ delete: "agent" }, ["agent"]],
    [{ balloon: 512 }, []],
    [{ balloon: 0 }, ["balloon"]],
    [{ hotplug: "network,disk,cpu,memory" }, ["hotplug"]],
  ])("%o", async (form, expected) => {
    expect(await waiting(path, form)).toEqual(expected);
  });

  test("takes memory where its hotplug option says so", async () => {
    const pve = host();
    pve.simulator.outside.setConfig(101, { hotplug: "memory,disk" });
    await pve.put(`${path}/config`, { memory: 8192, net0: "virtio,bridge=vmbr1" });
    const { config, pending } = pve.simulator.world.guests.get(101) ?? {};
    expect(config?.["memory"]).toBe("8192");
    expect(Object.keys(pending ?? {})).toEqual(["net0"]);
  });

  test("that can't take one thing takes the others, and says so with 400 or in the task", async () => {
    const pve = host();
    const { traits, config } = pve.simulator.world.guests.get(101) ?? {};
    if (traits) traits.hotplugFails = { net1: "no slot" };
    const form = { net1: "virtio,bridge=vmbr0", onboot: 1 };
    const put = await pve.put(`${path}/config`, form);
    expect(put.status).toBe(400);
    expect(put.body?.["errors"]).toEqual({ net1: "hotplug problem - no slot" });
    expect(config?.["onboot"]).toBe("1");
    const ended = await pve.outcome(pve.post(`${path}/config`, { ...form, onboot: 0 }));
    expect(ended).toBe("400 Parameter verification failed. net1: hotplug problem - no slot");
  });

  test("keeps the volume of a disk that leaves with the next start", async () => {
    const pve = host();
    const guest = pve.simulator.world.guests.get(101);
    await pve.put(`${path}/config`, { sata0: "local-lvm:1", sata1: "local-lvm:2" });
    await pve.outcome(pve.post(`${path}/status/stop`));
    await pve.outcome(pve.post(`${path}/status/start`));
    expect(guest?.config["sata0"]).toBe("local-lvm:vm-101-disk-1,size=1G");
    await pve.put(`${path}/config`, { delete: "sata0" });
    await pve.put(`${path}/config`, { delete: "sata1", force: 1 });
    expect(guest?.config["sata0"]).toBeDefined();
    await pve.outcome(pve.post(`${path}/status/stop`));
    await pve.outcome(pve.post(`${path}/status/start`));
    expect(guest?.config["sata0"]).toBeUndefined();
    expect(guest?.config["unused0"]).toBe("local-lvm:vm-101-disk-1");
    const { volumes } = pve.simulator.world;
    expect(volumes.has("pve1/local-lvm:vm-101-disk-1")).toBe(true);
    expect(volumes.has("pve1/local-lvm:vm-101-disk-2")).toBe(false);
  });
});

test.each<[Record<string, string | number>, string[]]>([
  [{ hostname: "a", tags: "b", cores: 2, memory: 1024, swap: 0, cpulimit: 1 }, []],
  [{ net0: "name=eth0,bridge=vmbr1,ip=dhcp" }, []],
  [{ mp0: "local-lvm:1,mp=/a" }, []],
  [{ features: "nesting=0", timezone: "host" }, ["features", "timezone"]],
  [{ nameserver: "192.0.2.1" }, ["nameserver"]],
])("a running container: %o", async (form, expected) => {
  expect(await waiting(ct(200, "pve1"), form)).toEqual(expected);
});

describe("a change of the configuration", () => {
  const refused = async (path: string, form: Record<string, string | number>) => {
    const pve = host();
    const { status, reason } = await pve.put(`${path}/config`, form);
    return [status, reason];
  };

  test("leaves protected disks alone", async () => {
    expect(await refused(vm(120, "pve1"), { delete: "scsi0" })).toEqual([
      500,
      "can't remove drive 'scsi0' - protection mode enabled",
    ]);
    const pve = host();
    pve.simulator.outside.setConfig(311, { protection: "1" });
    const put = await pve.put(`${ct(311, "pve3")}/config`, { mp0: "local-lvm:1,mp=/a" });
    expect(put.reason).toBe("can't update CT 311 drive 'mp0' - protection mode enabled");
  });

  test.each<[string, Record<string, string | number>, string]>([
    [vm(151, "pve1"), { delete: "scsi0", force: 1 }, "volume is still in use (snapshot?)"],
    [ct(311, "pve3"), { delete: "rootfs" }, "unable to delete required option 'rootfs'"],
    [ct(311, "pve3"), { unprivileged: 0 }, "unable to modify read-only option: 'unprivileged'"],
    [vm(302, "pve2"), { balloon: 4096 }, "balloon value too large"],
    [vm(302, "pve2"), { hostpci0: "0000:01:00.0" }, "only root can set 'hostpci0' config for non-"],
    [vm(302, "pve2"), { usb0: "host=1-1" }, "only root can set 'usb0' config for real devices"],
    [vm(302, "pve2"), { serial0: "/dev/ttyS0" }, "only root can set 'serial0' config for real"],
  ])("%s %o: %s", async (path, form, text) => {
    const [status, reason] = await refused(path, form);
    expect(status).toBe(500);
    expect(reason).toContain(text);
  });

  test("needs privileges on the storages of its disks and on mappings", async () => {
    const pve = host();
    const who = { tokenId: "ops@pve!t", secret: "66666666-eeee-4eee-8eee-000000000006" };
    addToken(pve.simulator.world, {
      id: who.tokenId,
      secret: who.secret,
      roles: { "/vms": "PVEVMAdmin" },
    });
    const path = `${vm(302, "pve2")}/config`;
    const reason = async (form: Record<string, string>) => (await pve.put(path, form, who)).reason;
    expect(await reason({ scsi1: "local-lvm:1" })).toBe(
      "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)",
    );
    expect(await reason({ scsi1: "local-lvm:vm-101-disk-0" })).toBe(
      "Permission check failed (/storage/local-lvm, Datastore.Allocate)",
    );
    expect(await reason({ ide2: "nfs-shared:iso/virtio-win-0.1.285.iso,media=cdrom" })).toBe(
      "Permission check failed (/storage/nfs-shared, Datastore.AllocateSpace|Datastore.Audit)",
    );
    expect(await reason({ hostpci0: "mapping=gpu" })).toBe(
      "Permission check failed (/mapping/pci/gpu, Mapping.Use)",
    );
  });
});

import {
  adminLogin,
  adminToken,
  auditorLogin,
  auditorToken,
  type Credentials,
  carefulLogin,
  nobodyToken,
  rootLogin,
  stagingToken,
} from "./demo-credentials.ts";
import { infrastructure, inside, staging, webAndData } from "./demo-guests.ts";
import type { World } from "./world.ts";
import { addGuest, addPool, addToken, addUser, emptyWorld } from "./world-builder.ts";

const day = 86_400_000;

/** The cluster that `--demo` shows: three nodes, about thirty guests, some of them awkward. `now`: milliseconds since the epoch. */
export function demoWorld(now: number): World {
  const world = emptyWorld(now);
  addPool(world, "production", "customer facing");
  addPool(world, "staging", "may break at any time");
  addIdentities(world);
  for (const plan of [...webAndData(now), ...infrastructure(now), ...staging(now)])
    addGuest(world, plan);
  addTemplates(world);
  addAwkward(world, now);
  addFiles(world, now);
  addWeb(world);
  addFirewall(world);
  return world;
}

function addIdentities(world: World): void {
  const token = (credentials: Credentials, roles: Record<string, string>) =>
    addToken(world, { id: credentials.tokenId, secret: credentials.secret, roles });
  token(adminToken, { "/": "Administrator" });
  token(auditorToken, { "/": "PVEAuditor" });
  token(nobodyToken, {});
  token(stagingToken, { "/pool/staging": "PVEVMUser" });
  for (const { username, password, totp } of [adminLogin, auditorLogin, rootLogin, carefulLogin]) {
    const user = world.users.get(username) ?? addUser(world, username);
    user.password = password;
    if (totp !== undefined) user.totp = totp;
  }
}

function addFirewall(world: World): void {
  const web = world.guests.get(101);
  const dns = world.guests.get(200);
  const open = { type: "in", action: "ACCEPT", enable: 1 } as const;
  if (web) {
    web.firewall = [
      { ...open, proto: "tcp", dport: "443", comment: "everybody" },
      { ...open, macro: "SSH", source: "192.0.2.0/24" },
      { type: "in", action: "DROP", enable: 0 },
    ];
  }
  if (dns) dns.firewall = [{ ...open, macro: "DNS" }];
}

function addTemplates(world: World): void {
  const cloudinit = {
    ide2: "nfs-shared:9000/vm-9000-cloudinit.qcow2,media=cdrom,size=4M",
    ciuser: "debian",
    ipconfig0: "ip=dhcp",
  };
  addGuest(world, {
    vmid: 9000,
    name: "debian-13-template",
    node: "pve1",
    template: true,
    storage: "nfs-shared",
    diskGib: 8,
    memoryMib: 1024,
    tags: "template",
    config: cloudinit,
    traits: { agent: true },
  });
  addGuest(world, {
    vmid: 9001,
    name: "debian-13-ct-template",
    node: "pve2",
    type: "lxc",
    template: true,
    diskGib: 4,
    tags: "template",
  });
}

function addAwkward(world: World, now: number): void {
  const nowS = Math.floor(now / 1000);
  const backup = { lock: "backup" };
  addGuest(world, {
    vmid: 150,
    name: "files-1",
    node: "pve2",
    pool: "production",
    tags: "files;prod",
    memoryMib: 4096,
    diskGib: 100,
    runningSince: now - 9 * day,
    config: backup,
  });
  const wiki = addGuest(world, {
    vmid: 151,
    name: "wiki",
    node: "pve1",
    tags: "dev",
    diskGib: 32,
    runningSince: now - 5 * day,
    config: { parent: "before-upgrade" },
    ...inside(171),
  });
  const { parent: _, ...before } = wiki.config;
  wiki.snapshots.push(
    {
      name: "clean-install",
      snaptime: nowS - 40 * 86_400,
      description: "right after the installation",
      config: before,
    },
    {
      name: "before-upgrade",
      snaptime: nowS - 6 * 86_400,
      description: "before the upgrade to 13",
      parent: "clean-install",
      config: before,
    },
  );
  addGuest(world, {
    vmid: 152,
    name: "gateway-1",
    node: "pve2",
    tags: "ha;infra",
    runningSince: now - 12 * day,
    storage: "nfs-shared",
    ...inside(172),
  });
  world.ha.set("vm:152", { sid: "vm:152", request: "started", maxRestart: 1, maxRelocate: 1 });
  // created a second ago: the next round of pvestatd gives its row a name
  addGuest(world, {
    vmid: 160,
    name: "fresh-1",
    node: "pve3",
    tags: "dev",
    traits: { bornAt: now },
  });
}

/** ISO images, container templates, backups, and the nightly job. */
function addFiles(world: World, now: number): void {
  const ctime = Math.floor(now / 1000) - 86_400;
  const file = (
    volid: string,
    content: "iso" | "vztmpl" | "backup",
    format: string,
    sizeMib: number,
    more = {},
  ) => {
    const node = volid.startsWith("nfs-shared:") ? "" : "pve1";
    world.volumes.set(`${node}/${volid}`, {
      volid,
      node,
      content,
      format,
      sizeBytes: sizeMib * 1024 ** 2,
      ctime,
      ...more,
    });
  };
  file("local:iso/debian-13.2.0-amd64-netinst.iso", "iso", "iso", 784);
  file("nfs-shared:iso/virtio-win-0.1.285.iso", "iso", "iso", 754);
  file("local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst", "vztmpl", "tzst", 124);
  const backup = "nfs-shared:backup/vzdump";
  const holding = (vmid: number) => {
    const guest = world.guests.get(vmid);
    return guest && { vmid, archive: { type: guest.type, config: { ...guest.config } } };
  };
  file(`${backup}-qemu-120-2025_12_31-02_00_03.vma.zst`, "backup", "vma.zst", 48_000, {
    ...holding(120),
    notes: "db-1",
    protected: true,
  });
  file(`${backup}-qemu-101-2025_12_31-02_10_41.vma.zst`, "backup", "vma.zst", 3100, {
    ...holding(101),
    notes: "web-1",
  });
  file(`${backup}-lxc-200-2025_12_31-02_14_12.tar.zst`, "backup", "tar.zst", 260, {
    ...holding(200),
    notes: "dns-1",
  });
  world.backupJobs.push({
    id: "backup-nightly",
    vmids: [],
    all: false,
    pool: "production",
    schedule: "02:00",
    storage: "nfs-shared",
    enabled: true,
    comment: "nightly",
  });
}

/** What the hosts can download. */
function addWeb(world: World): void {
  const serve = (url: string, sizeMib: number) =>
    world.web.set(url, { sizeBytes: sizeMib * 1024 ** 2, bytes: url });
  const debian = "https://cloud.debian.org/images/cloud/trixie/latest";
  serve(`${debian}/debian-13-genericcloud-amd64.qcow2`, 338);
  serve("https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img", 597);
  serve("https://releases.ubuntu.com/24.04/ubuntu-24.04.3-live-server-amd64.iso", 3_154);
  const images = "http://download.proxmox.com/images/system";
  serve(`${images}/alpine-3.22-default_20250617_amd64.tar.xz`, 3);
  serve(`${images}/debian-12-standard_12.12-1_amd64.tar.zst`, 121);
  serve(`${images}/debian-13-standard_13.1-2_amd64.tar.zst`, 124);
  serve(`${images}/ubuntu-24.04-standard_24.04-2_amd64.tar.zst`, 141);
  serve("docker://docker.io/library/nginx:latest", 62);
  serve("docker://docker.io/library/alpine:3.22", 4);
}

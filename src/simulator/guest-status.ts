import type { Cluster } from "./cluster.ts";
import {
  agentEnabled,
  cpusOf,
  isTemplate,
  maxDiskBytes,
  memoryBytes,
  nameOf,
} from "./guest-config.ts";
import { haManaged } from "./guests.ts";
import { guestUsage } from "./usage.ts";
import type { Guest } from "./world.ts";
import { serviceId } from "./world.ts";

type Fields = Record<string, unknown>;

/** GET /nodes/{node}/{qemu,lxc}: live (PVE::QemuServer vmstatus, PVE::LXC vmstatus). */
export function listEntry(cluster: Cluster, guest: Guest): Fields {
  const usage = guestUsage(guest, cluster.now);
  const running = guest.run.status === "running";
  const lxc = guest.type === "lxc";
  const entry: Fields = {
    vmid: guest.vmid,
    name: nameOf(guest),
    status: guest.run.status,
    cpus: cpusOf(guest),
    cpu: usage.cpu,
    maxmem: memoryBytes(guest),
    mem: usage.memBytes,
    maxdisk: maxDiskBytes(guest),
    disk: lxc && running ? Math.floor(maxDiskBytes(guest) * 0.3) : 0,
    uptime: usage.uptimeS,
    netin: usage.netin,
    netout: usage.netout,
  };
  if (lxc) {
    const swap = Number(guest.config["swap"] ?? 512) * 1024 ** 2;
    Object.assign(entry, { type: "lxc", swap: 0, maxswap: swap });
    Object.assign(entry, { diskread: usage.diskread, diskwrite: usage.diskwrite });
  } else {
    if (cluster.version !== "8.4") entry["memhost"] = usage.memBytes;
    if (guest.config["serial0"] !== undefined) entry["serial"] = 1;
  }
  if (running) entry["pid"] = guest.run.pid;
  if (isTemplate(guest)) entry["template"] = 1;
  for (const key of ["lock", "tags"]) if (guest.config[key]) entry[key] = guest.config[key];
  return entry;
}

/** GET …/status/current: the list entry, HA, and for a VM what QMP says. */
export function currentStatus(cluster: Cluster, guest: Guest): Fields {
  const running = guest.run.status === "running";
  const status: Fields = { ...listEntry(cluster, guest), ha: haFields(cluster, guest) };
  const knowsPressure = running && cluster.version !== "8.4";
  if (knowsPressure) Object.assign(status, pressure(guest.type === "lxc" ? "0.00" : 0));
  if (guest.type === "lxc") return status;
  status["qmpstatus"] = guest.run.qmpstatus;
  if (agentEnabled(guest)) status["agent"] = 1;
  if (running) {
    const { netin, netout, diskread, diskwrite } = guestUsage(guest, cluster.now);
    status["nics"] = { [`tap${guest.vmid}i0`]: { netin, netout } };
    Object.assign(status, { diskread, diskwrite });
    const old = cluster.version === "8.4";
    status["running-qemu"] = old ? "9.2.0" : "10.1.2";
    status["running-machine"] = old ? "pc-i440fx-9.2+pve1" : "pc-i440fx-10.1+pve0";
    status["proxmox-support"] = { "pbs-dirty-bitmap": true, "query-bitmap-info": true };
    if (guest.config["balloon"] !== "0") status["balloon"] = memoryBytes(guest);
  }
  return status;
}

/** Strings for containers, numbers for VMs. */
function pressure(value: string | number): Fields {
  const fields: Fields = {};
  for (const name of ["cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"]) {
    fields[`pressure${name}`] = value;
  }
  return fields;
}

function haFields(cluster: Cluster, guest: Guest): Fields {
  if (!haManaged(cluster, guest)) return { managed: 0 };
  return { managed: 1, state: cluster.world.ha.get(serviceId(guest))?.request };
}

import { agentEnabled, disksOf, nameOf } from "../guest-config.ts";
import { guestOf } from "../guests.ts";
import type { Access } from "../permissions.ts";
import { readProperties } from "../property-string.ts";
import { died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { guestUsage } from "../usage.ts";
import type { Guest } from "../world.ts";

const audit = ["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"];
const loopback = "00:00:00:00:00:00";

/** What can be asked inside: PVE::API2::Qemu::Agent, PVE::API2::LXC ip. */
export function guestInsideRoutes(): Route[] {
  return [
    agent("GET", "network-get-interfaces", networkInterfaces),
    agent("GET", "get-osinfo", osInfo),
    agent("GET", "get-fsinfo", fileSystems),
    agent("GET", "get-host-name", (_, guest) => ({ "host-name": nameOf(guest) })),
    agent("POST", "ping", () => ({})),
    {
      method: "GET",
      path: "/nodes/{node}/lxc/{vmid}/interfaces",
      permission: needs("/vms/{vmid}", "VM.Audit"),
      handle: (call) => containerInterfaces(guestOf(call, "lxc")),
    },
  ];
}

/** Before PVE 9 everything inside needed VM.Monitor. */
function mayAsk(access: Access, given: Readonly<Record<string, string>>): void {
  const names = access.knows("VM.Monitor") ? ["VM.Monitor"] : audit;
  access.needAny(`/vms/${given["vmid"]}`, names);
}

function agent(
  method: "GET" | "POST",
  command: string,
  result: (call: Call, guest: Guest) => unknown,
): Route {
  return {
    method,
    path: `/nodes/{node}/qemu/{vmid}/agent/${command}`,
    permission: mayAsk,
    handle: async (call) => {
      const guest = guestOf(call, "qemu");
      await needAgent(call, guest);
      return { result: result(call, guest) };
    },
  };
}

/** PVE::QemuServer::Agent assert_agent_available: an agent that does not answer costs 3 s. */
async function needAgent({ cluster }: Call, guest: Guest): Promise<void> {
  if (guest.config["agent"] === undefined) throw died("No QEMU guest agent configured");
  if (guest.run.status !== "running") throw died(`VM ${guest.vmid} is not running`);
  const { agent, bootMs = 0 } = guest.traits;
  const booted = guest.run.qmpstatus === "running" && cluster.now >= guest.run.since + bootMs;
  if (agent && agentEnabled(guest) && booted) return;
  await cluster.wait(3000);
  throw died("QEMU guest agent is not running");
}

function networkInterfaces({ cluster }: Call, guest: Guest): unknown[] {
  const usage = guestUsage(guest, cluster.now);
  const statistics = (rx: number, tx: number) => ({
    "rx-bytes": rx,
    "rx-packets": Math.floor(rx / 900),
    "rx-errs": 0,
    "rx-dropped": 0,
    "tx-bytes": tx,
    "tx-packets": Math.floor(tx / 900),
    "tx-errs": 0,
    "tx-dropped": 0,
  });
  const lo = {
    name: "lo",
    "hardware-address": loopback,
    "ip-addresses": [address("127.0.0.1/8", "ipv4"), address("::1/128", "ipv6")],
    statistics: statistics(0, 0),
  };
  const mac = macOf(guest);
  if (mac === undefined) return [lo];
  // What cloud-init was told at the first start stands before what DHCP gives.
  const told = readProperties(guest.config["ipconfig0"] ?? "", "ip")["ip"];
  const fixed = told?.includes("/") ? [told] : guest.traits.addresses;
  const addresses = (fixed ?? []).map((cidr) => address(cidr, "ipv4"));
  const eth0 = {
    name: "eth0",
    "hardware-address": mac,
    "ip-addresses": [...addresses, address(`${linkLocal(mac)}/64`, "ipv6")],
    statistics: statistics(usage.netin, usage.netout),
  };
  return [lo, eth0];
}

function address(cidr: string, type: string): Record<string, unknown> {
  const [ip = "", prefix = "0"] = cidr.split("/");
  return { "ip-address": ip, "ip-address-type": type, prefix: Number(prefix) };
}

/** Lower case, as the kernel inside prints it. */
function macOf(guest: Guest): string | undefined {
  const found = /[0-9A-F]{2}(?::[0-9A-F]{2}){5}/i.exec(guest.config["net0"] ?? "");
  return found?.[0].toLowerCase();
}

function linkLocal(mac: string): string {
  const bytes = mac.split(":").map((hex) => Number.parseInt(hex, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  const words = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return `fe80::${words.map((word) => word.toString(16)).join(":")}`;
}

function osInfo(_: Call, guest: Guest): unknown {
  const { id, name, version, kernel } = guest.traits.os ?? {
    id: "debian",
    name: "Debian GNU/Linux",
    version: "13 (trixie)",
    kernel: "6.12.48+deb13-amd64",
  };
  return {
    id,
    name,
    "pretty-name": `${name} ${version}`,
    version,
    "version-id": version.split(" ")[0],
    "kernel-release": kernel,
    "kernel-version": `#1 SMP PREEMPT_DYNAMIC ${name}`,
    machine: "x86_64",
  };
}

/** Its disks with one file system each; what is on them grows with their number. */
function fileSystems(_: Call, guest: Guest): unknown[] {
  const disks = disksOf("qemu", guest.config).filter(({ cdrom }) => !cdrom);
  return disks.map(({ sizeBytes }, index) => {
    const dev = `sd${String.fromCharCode(97 + index)}1`;
    return {
      name: dev,
      mountpoint: index === 0 ? "/" : `/srv/${index}`,
      type: "ext4",
      "used-bytes": Math.floor(sizeBytes * 0.3),
      "total-bytes": Math.floor(sizeBytes * 0.95),
      disk: [{ "bus-type": "scsi", bus: 0, target: 0, unit: index, dev: `/dev/${dev}` }],
    };
  });
}

/** GET …/interfaces: null while stopped; prefixes are strings here. */
function containerInterfaces(guest: Guest): unknown {
  if (guest.run.status !== "running") return null;
  const mac = macOf(guest);
  const name = readProperties(guest.config["net0"] ?? "", "name")["name"] ?? "eth0";
  const lo = {
    name: "lo",
    hwaddr: loopback,
    "hardware-address": loopback,
    inet: "127.0.0.1/8",
    inet6: "::1/128",
    "ip-addresses": [containerAddress("127.0.0.1/8", "inet"), containerAddress("::1/128", "inet6")],
  };
  if (mac === undefined) return [lo];
  const addresses = guest.traits.addresses ?? [];
  return [
    lo,
    {
      name,
      hwaddr: mac,
      "hardware-address": mac,
      ...(addresses[0] === undefined ? {} : { inet: addresses[0] }),
      "ip-addresses": addresses.map((cidr) => containerAddress(cidr, "inet")),
    },
  ];
}

function containerAddress(cidr: string, type: string): Record<string, unknown> {
  const [ip = "", prefix = "0"] = cidr.split("/");
  return { "ip-address": ip, "ip-address-type": type, prefix };
}

import { died, forbidden } from "../refusal.ts";
import { type Call, needs, Page, type Route } from "../route.ts";

const count = { type: "integer", optional: true, minimum: 0 } as const;
const text = { type: "string", optional: true } as const;

/** What a node tells of itself besides its status: PVE::API2::Nodes, Network, Services, Subscription. */
export function nodeFactRoutes(): Route[] {
  const audit = needs("/nodes/{node}", "Sys.Audit");
  return [
    { method: "GET", path: "/nodes/{node}/dns", permission: audit, handle: () => dns },
    { method: "GET", path: "/nodes/{node}/time", permission: audit, handle: time },
    { method: "GET", path: "/nodes/{node}/subscription", handle: () => subscription },
    {
      method: "GET",
      path: "/nodes/{node}/network",
      parameters: { type: text },
      handle: network,
    },
    {
      method: "GET",
      path: "/nodes/{node}/syslog",
      permission: needs("/nodes/{node}", "Sys.Syslog"),
      parameters: { start: count, limit: count, since: text, until: text, service: text },
      handle: syslog,
    },
    ...powerAndFirewall(),
    ...serviceRoutes(),
  ];
}

function powerAndFirewall(): Route[] {
  return [
    {
      method: "POST",
      path: "/nodes/{node}/status",
      permission: needs("/nodes/{node}", "Sys.PowerMgmt"),
      parameters: { command: { type: "string", enum: ["reboot", "shutdown"] } },
      handle: () => null, // accepted; the node goes down when a test takes it down
    },
    {
      method: "POST",
      path: "/nodes/{node}/execute",
      permission: (access) => {
        if (access.name !== "root@pam") throw forbidden("user != root@pam");
      },
      parameters: { commands: { type: "string" } },
      handle: () => [],
    },
    {
      method: "GET",
      path: "/cluster/firewall/options",
      permission: needs("/", "Sys.Audit"),
      handle: () => ({ digest: "da39a3ee5e6b4b0d3255bfef95601890afd80709" }),
    },
  ];
}

function serviceRoutes(): Route[] {
  const path = "/nodes/{node}/services";
  const parameters = { service: { type: "string", enum: Object.keys(services) } } as const;
  const permission = needs("/nodes/{node}", "Sys.Modify");
  return [
    {
      method: "GET",
      path,
      permission: needs("/nodes/{node}", "Sys.Audit"),
      handle: () => Object.keys(services).map(service),
    },
    ...(["start", "stop", "restart", "reload"] as const).map(
      (verb): Route => ({
        method: "POST",
        path: `${path}/{service}/${verb}`,
        permission,
        parameters,
        handle: (call) => act(call, verb),
      }),
    ),
  ];
}

const dns = { search: "example.test", dns1: "192.0.2.1" };
const subscription = {
  status: "notfound",
  message: "There is no subscription key",
  serverid: "00000000000000000000000000000000",
  url: "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
};
const services: Readonly<Record<string, string>> = {
  chrony: "chrony, an NTP client/server",
  corosync: "Corosync Cluster Engine",
  cron: "Regular background program processing daemon",
  postfix: "Postfix Mail Transport Agent",
  "pve-cluster": "The Proxmox VE cluster filesystem",
  "pve-firewall": "Proxmox VE firewall",
  "pve-ha-crm": "PVE Cluster HA Resource Manager Daemon",
  "pve-ha-lrm": "PVE Local HA Resource Manager Daemon",
  pvedaemon: "PVE API Daemon",
  pveproxy: "PVE API Proxy Server",
  pvescheduler: "Proxmox VE scheduler",
  pvestatd: "PVE Status Daemon",
  sshd: "OpenBSD Secure Shell server",
};

function service(name: string): Record<string, unknown> {
  const shown = { service: name, name, desc: services[name], state: "running" };
  return { ...shown, "active-state": "active", "unit-state": "enabled" };
}

function act({ cluster, access, values }: Call, verb: string): string {
  const { node = "", service: id = "" } = values;
  if (verb === "stop" && (id === "pveproxy" || id === "pvedaemon")) {
    throw died(`invalid service cmd '${id} ${verb}': ERROR`);
  }
  return cluster.tasks.start({
    node,
    type: `srv${verb}`,
    id,
    user: access.name,
    *work() {
      yield 400;
    },
  });
}

function time({ cluster }: Call): unknown {
  const now = Math.floor(cluster.now / 1000);
  return { time: now, localtime: now, timezone: "UTC" };
}

function network({ cluster, access, values }: Call): unknown[] {
  access.needAny(`/nodes/${values["node"]}`, ["Sys.Audit", "Sys.Modify"]);
  const { world } = cluster;
  const ip = world.nodes.get(values["node"] ?? "")?.ip ?? "";
  const families = ["inet"];
  const bridges = [...world.bridges].map((iface, index) => ({
    iface,
    type: "bridge",
    active: 1,
    autostart: 1,
    families,
    priority: 4 + index,
    bridge_ports: index === 0 ? "eth0" : "",
    bridge_stp: "off",
    bridge_fd: "0",
    method6: "manual",
    ...(index === 0
      ? { method: "static", address: ip, netmask: "24", cidr: `${ip}/24` }
      : { method: "manual" }),
  }));
  const eth0 = {
    iface: "eth0",
    type: "eth",
    families,
    method: "manual",
    method6: "manual",
    priority: 3,
  };
  return [eth0, ...bridges].filter(({ type }) =>
    [undefined, "any_bridge", type].includes(values["type"]),
  );
}

function syslog({ values }: Call): Page {
  const all = Array.from({ length: 3 }, (_, index) => ({
    n: index + 1,
    t: `Jan 01 00:00:0${index} ${values["node"]} systemd[1]: Started unit ${index + 1}.`,
  }));
  const start = Number(values["start"] ?? 0);
  return new Page(all.slice(start, start + Number(values["limit"] ?? 50)), all.length);
}

import { createHash } from "node:crypto";
import { type Call, needs, type Route } from "../route.ts";

/** The rules of one guest, PVE::API2::Firewall::Rules: read by the answering host, which never asks whether there is such a guest. */
export function firewallRoutes(): Route[] {
  return (["qemu", "lxc"] as const).map((type) => ({
    method: "GET",
    path: `/nodes/{node}/${type}/{vmid}/firewall/rules`,
    permission: needs("/vms/{vmid}", "VM.Audit"),
    local: true,
    handle: rules,
  }));
}

/** Each with its position and the digest of them all. */
function rules({ cluster, values }: Call): unknown[] {
  const { firewall = [] } = cluster.world.guests.get(Number(values["vmid"])) ?? {};
  const digest = createHash("sha1").update(JSON.stringify(firewall)).digest("hex");
  return firewall.map((rule, pos) => ({ pos, ...rule, digest }));
}

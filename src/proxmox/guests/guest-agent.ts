import { path } from "../../http/path.ts";
import { fresh, guestTags } from "../api/freshness.ts";
import { type GuestId, given, number, record, records, text, type Wire } from "../api/values.ts";
import type { Question } from "../api/verbs.ts";

type At = GuestId & { readonly node: string };

/** PVE: GET …/qemu/{vmid}/agent/{command} */
export function agentQuestion<T>(
  guest: At,
  command: string,
  parse: (result: unknown) => T,
): Question<T> {
  return {
    path: path`/nodes/${guest.node}/qemu/${guest.vmid}/agent/${command}`,
    freshness: fresh("guestAgent", ...guestTags(guest)),
    parse: (data) => parse(record(data)["result"]),
  };
}

/** PVE: GET …/qemu/{vmid}/agent/network-get-interfaces, GET …/lxc/{vmid}/interfaces (null when stopped) */
export function interfacesQuestion(guest: At): Question<readonly Wire[]> {
  if (guest.type === "qemu") return agentQuestion(guest, "network-get-interfaces", readInterfaces);
  return {
    path: path`/nodes/${guest.node}/lxc/${guest.vmid}/interfaces`,
    freshness: fresh("guestAgent", ...guestTags(guest)),
    parse: readInterfaces,
  };
}

/** Without the loopback: it says nothing about how to reach the guest. */
function readInterfaces(result: unknown): readonly Wire[] {
  return records(result)
    .filter((nic) => nic["name"] !== "lo")
    .map((nic) =>
      given({
        name: text(nic["name"]),
        mac: text(nic["hardware-address"]) ?? text(nic["hwaddr"]),
        addresses: records(nic["ip-addresses"]).map(
          (address) => `${text(address["ip-address"]) ?? ""}/${text(address["prefix"]) ?? ""}`,
        ),
      }),
    );
}

export function readOs(result: unknown): Wire {
  const wire = record(result);
  return given({ name: text(wire["pretty-name"]), kernel: text(wire["kernel-release"]) });
}

export function readFileSystems(result: unknown): readonly Wire[] {
  return records(result).map((row) =>
    given({
      mountpoint: text(row["mountpoint"]),
      type: text(row["type"]),
      usedBytes: number(row["used-bytes"]),
      sizeBytes: number(row["total-bytes"]),
    }),
  );
}

import { isIP } from "node:net";
import { Problem } from "../../problem.ts";
import { properties, propertyString } from "../api/values.ts";
import type { Params } from "../api/verbs.ts";

/** What a guest is told at its first start. */
export interface CloudInit {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** In the form of OpenSSH, one each. */
  readonly sshKeys?: readonly string[] | undefined;
  /** For each NIC in turn: `dhcp`, or `192.0.2.5/24,gw=192.0.2.1`. */
  readonly ips?: readonly string[] | undefined;
  readonly nameservers?: readonly string[] | undefined;
}

/** Whether anything is to be told at all. */
export function isWanted({ user, password, sshKeys, ips, nameservers }: CloudInit): boolean {
  return [user, password, sshKeys, ips, nameservers].some((value) => value !== undefined);
}

/**
 * The options of a VM's configuration, with what is secret apart. Throws `invalid_input` for keys and addresses that PVE or the
 * guest would not take. PVE: QemuServer.pm (ciuser, cipassword, sshkeys, ipconfig[n], nameserver)
 */
export function cloudInitParams(wish: CloudInit): {
  readonly params: Params;
  readonly secrets: Readonly<Record<string, string>>;
} {
  const { user, password, sshKeys, ips = [], nameservers } = wish;
  const addresses = ips.map(
    (text, index) => [`ipconfig${index}`, ipConfig(text, `ips[${index}]`)] as const,
  );
  return {
    params: {
      ciuser: user,
      // Encoded once more than forms are: PVE decodes it before it writes it down.
      sshkeys: sshKeys && encodeURIComponent(publicKeys(sshKeys)),
      nameserver: nameservers && servers(nameservers),
      ...Object.fromEntries(addresses),
    },
    secrets: password === undefined ? {} : { cipassword: password },
  };
}

/** One key a line. Throws `invalid_input` for a private key, and for what is none. */
export function publicKeys(keys: readonly string[], argument = "ssh_keys"): string {
  const lines = keys.flatMap((text) => text.split(/\r?\n/)).map((line) => line.trim());
  const given = lines.filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of given) {
    if (/PRIVATE KEY/.test(line)) {
      throw invalid(argument, "that is a private key", "Give the public one (….pub).");
    }
    if (publicKey.test(line)) continue;
    throw invalid(
      argument,
      `"${line.slice(0, 30)}…" is no public key`,
      "Give whole lines as in a .pub file: ssh-ed25519 AAAA… comment.",
    );
  }
  if (given.length > 0) return given.join("\n");
  throw invalid(argument, "there is no key in it", "Give at least one, or leave it out.");
}

const publicKey =
  /^(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) AAAA[A-Za-z0-9+/]+={0,3}(?: .*)?$/;

export function servers(addresses: readonly string[], argument = "nameservers"): string {
  for (const address of addresses) {
    if (isIP(address) !== 0) continue;
    throw invalid(argument, `"${address.slice(0, 60)}" is no IP address`, "Give addresses.");
  }
  return addresses.join(" ");
}

/** What has no name is the address; `gw` belongs to it. Throws `invalid_input`. PVE: pve-qm-ipconfig */
export function ipConfig(text: string, argument: string): string {
  const { "": first, ...parts } = properties(text.trim(), "");
  const six = first?.includes(":") ?? false;
  const named = first === undefined ? {} : { [six ? "ip6" : "ip"]: first };
  const { gw, ...rest } = parts;
  const gateway = gw === undefined ? {} : { [gw.includes(":") ? "gw6" : "gw"]: gw };
  const all: Readonly<Record<string, string>> = { ...named, ...rest, ...gateway };
  for (const [key, value] of Object.entries(all)) {
    if (!isAddressKey(key)) {
      throw invalid(argument, `there is no ${key}`, "Write it as 192.0.2.5/24,gw=192.0.2.1.");
    }
    assertAddress(value, key, argument);
  }
  for (const [gate, ip] of [
    ["gw", "ip"],
    ["gw6", "ip6"],
  ] as const) {
    if (all[gate] !== undefined && !/\//.test(all[ip] ?? "")) {
      throw invalid(argument, `${gate} goes with a static ${ip}`, "Give both, or only dhcp.");
    }
  }
  return propertyString(all, "");
}

type AddressKey = "ip" | "ip6" | "gw" | "gw6";

function isAddressKey(key: string): key is AddressKey {
  return ["ip", "ip6", "gw", "gw6"].includes(key);
}

/** PVE: JSONSchema.pm, pve-ipv4-config, pve-ipv6-config. Throws `invalid_input`. */
export function assertAddress(value: string | undefined, key: AddressKey, argument: string): void {
  if (value === undefined) return;
  const six = key.endsWith("6");
  const words = six ? ["dhcp", "auto", "manual"] : ["dhcp", "manual"];
  const gateway = key.startsWith("gw");
  if (!gateway && words.includes(value)) return;
  const [address = "", prefix, more] = value.split("/");
  const isOne = isIP(address) === (six ? 6 : 4) && more === undefined;
  if (isOne && gateway && prefix === undefined) return;
  const bits = /^\d+$/.test(prefix ?? "") ? Number(prefix) : -1;
  if (isOne && !gateway && bits >= (six ? 1 : 8) && bits <= (six ? 128 : 32)) return;
  const example = six ? "2001:db8::5/64" : "192.0.2.5/24";
  const wanted = gateway ? "an address without a prefix" : `dhcp or an address like ${example}`;
  throw invalid(argument, `${key} "${value.slice(0, 60)}" is not ${wanted}`, "Write it so.");
}

function invalid(argument: string, what: string, next: string): Problem {
  return new Problem("invalid_input", `${argument}: ${what}. Nothing was sent.`, {
    next,
    facts: { argument },
  });
}

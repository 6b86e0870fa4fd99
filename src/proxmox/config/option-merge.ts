import { type GuestType, properties, propertyString, tagList } from "../api/values.ts";
import { defaultKeyOf } from "./guest-options.ts";

/** Sub-keys of a property string; a NIC's `virtio=MAC` stands as `model` and `macaddr`. */
export type Parts = Readonly<Record<string, string>>;

const netModel = /^(?:virtio|vmxnet3|rtl8139|pcnet|ne2k_\w+|e1000[\w-]*|i825\w+)$/;

export function partsOf(type: GuestType, key: string, value: string): Parts {
  const defaultKey = defaultKeyOf(type, key) ?? "";
  const parts: Record<string, string> = { ...properties(value, defaultKey) };
  if (type !== "qemu" || !/^net\d+$/.test(key)) return parts;
  const short = Object.keys(parts).find((name) => netModel.test(name));
  if (short === undefined) return parts;
  const { [short]: macaddr = "", ...rest } = parts;
  return { ...rest, model: short, macaddr };
}

export function written(type: GuestType, key: string, parts: Parts): string {
  if (type !== "qemu" || !/^net\d+$/.test(key)) {
    return propertyString(parts, defaultKeyOf(type, key) ?? "");
  }
  const { macaddr, model = "virtio", ...rest } = parts;
  return propertyString({ ...(macaddr ? { [model]: macaddr } : { model }), ...rest }, "");
}

/** The parts that stay, with those that were given over them. */
export function merge(current: Parts, given: Parts, dropped: readonly string[]): Parts {
  const merged: Record<string, string> = { ...current, ...given };
  // A gateway goes with the static address that it was given for.
  for (const [address, gateway] of [
    ["ip", "gw"],
    ["ip6", "gw6"],
  ] as const) {
    const dynamic = given[address] !== undefined && !given[address].includes("/");
    if (dynamic && given[gateway] === undefined) delete merged[gateway];
  }
  for (const name of dropped) delete merged[name];
  return merged;
}

/** Whether two values of an option mean the same; order, case of MACs and ways of writing do not count. */
export function sameValue(type: GuestType, key: string, a: string, b: string): boolean {
  return normal(type, key, a) === normal(type, key, b);
}

function normal(type: GuestType, key: string, value: string): string {
  if (key === "tags") return [...new Set(tagList(value.toLowerCase()))].sort().join(";");
  if (key === "sshkeys") return decoded(value).trim();
  if (key === "description") return value.trimEnd();
  if (key === "nameserver" || key === "searchdomain") return tagList(value).join(" ");
  if (defaultKeyOf(type, key) === undefined) return scalar(value);
  const parts = Object.entries(partsOf(type, key, value));
  return JSON.stringify(parts.map(([name, part]) => [name, scalar(part)]).sort(byName));
}

function byName([a = ""]: readonly string[], [b = ""]: readonly string[]): number {
  return a < b ? -1 : Number(a > b);
}

/** `on`, `yes` and `true` are 1 inside property strings, MACs are upper case, and 2.0 is 2. */
function scalar(value: string): string {
  const plain = value.trim();
  if (/^\d+(?:\.\d+)?$/.test(plain)) return String(Number(plain));
  if (/^(?:on|yes|true)$/i.test(plain)) return "1";
  if (/^(?:off|no|false)$/i.test(plain)) return "0";
  return /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(plain) ? plain.toUpperCase() : plain;
}

/** What is no valid encoding is a plain text. */
export function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

import type { Refuse } from "./credentials.ts";
import { list, oneLine } from "./text.ts";

/** The origins of the hosts of one cluster, each once. */
export function readUrls(raw: string | undefined, refuse: Refuse): string[] {
  const hosts = list(raw ?? "");
  if (hosts.length === 0) refuse("PROXMOX_URL is missing: set it to https://<host>:8006.");
  return [...new Set(hosts.flatMap((host) => readUrl(host, refuse) ?? []))];
}

/** A path pasted from a browser or from other tools is harmless; a login in the address is not. */
function readUrl(raw: string, refuse: Refuse): string | undefined {
  const usage = "write https://<host>:8006 or just the host";
  if (raw.includes("@"))
    return refuse("PROXMOX_URL must not hold a login: set PROXMOX_TOKEN_ID or PROXMOX_USERNAME.");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//iu.exec(raw)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "https") {
    return refuse(`PROXMOX_URL: ${scheme}:// would send the token in the clear; ${usage}.`);
  }
  const host = /^[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*$/iu.test(raw) ? `[${raw}]` : raw;
  const address = scheme === undefined ? `https://${host}` : raw;
  const url = URL.canParse(address) ? new URL(address) : null;
  const known = url !== null && /^\/(?:api2\/json\/?)?$/u.test(url.pathname) && url.search === "";
  if (!known) return refuse(`PROXMOX_URL: ${oneLine(raw, 60)} is not an address; ${usage}.`);
  const bare = scheme === undefined && !/:[0-9]+(?:\/|$)/u.test(host.replace(/^\[.*\]/u, ""));
  return bare ? `https://${url.hostname}:8006` : url.origin;
}

import { isIP } from "node:net";

/** Answers what is wrong with a value, undefined when nothing is: the registered formats of PVE::JSONSchema. */
export type Format = (value: string) => string | undefined;

function matching(pattern: RegExp, text: (value: string) => string): Format {
  return (value) => (pattern.test(value) ? undefined : text(value));
}

export const vmidFormat = matching(
  /^[1-9][0-9]{2,8}$/,
  () => "value does not look like a valid VM ID\n",
);
export const nodeFormat = matching(
  /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/,
  () => "value does not look like a valid node name\n",
);
export const dnsNameFormat = matching(
  /^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/,
  () => "value does not look like a valid DNS name\n",
);
export const configIdFormat = matching(
  /^[a-z][a-z0-9_-]+$/i,
  (value) => `invalid configuration ID '${value}'\n`,
);
export const storageIdFormat = matching(
  /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i,
  (value) => `storage ID '${value}' contains illegal characters\n`,
);
export const poolIdFormat = matching(
  /^[A-Za-z0-9.\-_]+(?:\/[A-Za-z0-9.\-_]+){0,2}$/,
  (value) => `pool name '${value}' contains invalid characters\n`,
);
export const userIdFormat = matching(
  /^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+$/,
  (value) => `value '${value}' does not look like a valid user name\n`,
);
export const roleIdFormat = matching(
  /^[A-Za-z0-9.\-_]+$/,
  (value) => `role name '${value}' contains invalid characters\n`,
);
export const tagFormat = matching(
  /^[a-z0-9_][a-z0-9_\-+.]*$/i,
  () => "invalid characters in tag\n",
);
export const volumeIdFormat = matching(
  /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$|^none$|^cdrom$|^\/.+$/i,
  (value) => `unable to parse volume ID '${value}'\n`,
);
export const urlencodedFormat = matching(
  /^[-%a-zA-Z0-9_.!~*'()]*$/,
  () => "invalid urlencoded string\n",
);
export const taskStatusFormat = matching(
  /^(?:ok|error|warning|unknown)$/i,
  (value) => `invalid status '${value}'\n`,
);

export const macFormat = matching(
  /^[a-f0-9][02468ace](?::[a-f0-9]{2}){5}$/i,
  () => "value does not look like a valid unicast MAC address\n",
);
export const hotplugFormat = matching(
  /^(?:0|1|(?:network|disk|cpu|memory|usb|cloudinit)(?:[,;\s]+(?:network|disk|cpu|memory|usb|cloudinit))*)$/,
  () => "unable to parse hotplug option\n",
);
export const bootDeviceFormat = matching(
  /^(?:(?:net|ide|sata|scsi|virtio|usb|hostpci)\d+)$/,
  (value) => `invalid boot device '${value}'\n`,
);

/** An address of that version, with `prefixed` behind a slash; or one of the words. */
function address(version: 4 | 6, text: string, words: readonly string[] | undefined): Format {
  const [least, most] = version === 4 ? [8, 32] : [1, 128];
  return (value) => {
    if (words?.includes(value)) return undefined;
    const [ip = "", bits, more] = value.split("/");
    const within = /^\d{1,3}$/.test(bits ?? "") && Number(bits) >= least && Number(bits) <= most;
    const prefix = words === undefined ? bits === undefined : within;
    return isIP(ip) === version && prefix && more === undefined ? undefined : `${text}\n`;
  };
}

/** PVE::JSONSchema pve_verify_ipv4, pve_verify_ipv6, pve_verify_ipv4_config, pve_verify_ipv6_config */
const looks = "value does not look like a valid";
export const ipv4Format = address(4, `${looks} IPv4 address`, undefined);
export const ipv6Format = address(6, `${looks} IPv6 address`, undefined);
export const ipv4ConfigFormat = address(4, `${looks} ipv4 network configuration`, [
  "dhcp",
  "manual",
]);
export const ipv6ConfigFormat = address(6, `${looks} ipv6 network configuration`, [
  "dhcp",
  "auto",
  "manual",
]);

/** An IP address or a DNS name (pve_verify_address). */
export const addressFormat: Format = (value) =>
  isIP(value) !== 0 || dnsNameFormat(value) === undefined
    ? undefined
    : `value does not look like a valid address: ${value}\n`;
/** PVE::LXC::Config lxc-ip-with-ll-iface: link-local ones name their interface. */
export const ipFormat: Format = (value) =>
  isIP(value) !== 0 ? undefined : "value does not look like a valid IP address\n";

/** Each item of a list split at commas, semicolons and white space. */
export function listOf(item: Format): Format {
  return (value) => {
    for (const piece of splitList(value)) {
      const wrong = item(piece);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** Items of a list parameter. */
export function splitList(value: string): string[] {
  return value.split(/[,;\s\0]+/).filter((piece) => piece !== "");
}

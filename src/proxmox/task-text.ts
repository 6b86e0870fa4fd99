/** An address as tools print it, up to white space or a quote. */
const address = /\b([a-z][a-z0-9+.-]{1,20}:\/\/)([^\s'"<>`]+)/giu;

/**
 * What a task has written, its addresses without user, password, query and fragment: a signed address is a key, and Proxmox prints it
 * into logs and errors. PVE: pve-common src/PVE/Tools.pm (download_file_from_url), and what wget says
 */
export function discreet(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(address, (_, scheme: string, rest: string) => {
    const end = rest.search(/[?#]/);
    const plain = end < 0 ? rest : rest.slice(0, end);
    const slash = plain.indexOf("/");
    const host = slash < 0 ? plain : plain.slice(0, slash);
    const shown = host.includes("@") ? `…${plain.slice(host.lastIndexOf("@"))}` : plain;
    return `${scheme}${shown}${end < 0 ? "" : `${rest[end]}…`}`;
  });
}

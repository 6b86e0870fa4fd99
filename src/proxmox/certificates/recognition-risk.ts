import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { HostTrust } from "../../http/transport.ts";
import { Problem } from "../../problem.ts";
import { type Certificate, hostnameOf } from "./certificates.ts";
import { type Bundle, certificateBlocks, isTrustedBy } from "./pem.ts";

/** A host of ours where authorities judge what it shows, and what it is about to show. */
export interface Judged {
  readonly node: string;
  /** As we dial it: `pve1.example:8006`. */
  readonly host: string;
  readonly trust: HostTrust;
  /** Absent: the node's own certificate, as `before` has it. */
  readonly bundle: Bundle | undefined;
  readonly before: readonly Certificate[];
}

/** Why the next certificate would lock this server out; undefined where it would not, or where nobody can know. */
export function lockout(judged: Judged): Problem | undefined {
  const { node, host, trust, bundle, before } = judged;
  const own = before.find(({ use }) => use === "own");
  const why = bundle ? whyNot(bundle, judged) : own && whyNotOwn(own, judged);
  if (why === undefined) return undefined;
  const fingerprint = bundle?.chain[0].fingerprint256 ?? own?.fingerprint;
  const setting = `PROXMOX_FINGERPRINT=${fingerprint}`;
  const shown = bundle ? "With that certificate" : `With its own certificate, shown again,`;
  const wanted = bundle
    ? `Give one for ${hostnameOf(host)} whose chain ends at ${judge(trust)}`
    : "First set PROXMOX_CA_FILE to the cluster's /etc/pve/pve-root-ca.pem";
  return new Problem("conflict", `${shown} this server could not reach ${node} any more: ${why}.`, {
    next: `${wanted}; or have ${setting} put into this server's configuration and repeat the call with force: true.`,
    facts: { node, fingerprint, pin: setting },
  });
}

/** What is pinned now will not be shown any more. `pin`: the whole setting; absent where nobody knows the next fingerprint before. */
export function repinned(
  node: string,
  before: readonly Certificate[],
  fingerprint: string | undefined,
  pin: string | undefined,
): Problem {
  const shown = before.find(({ served }) => served)?.fingerprint;
  const known = `This server recognises ${node} by its fingerprint`;
  const says =
    pin === undefined
      ? `${known}, and nobody knows the new one before: it is accepted as soon as Proxmox shows it, for as long as this server runs; after that only what its configuration says.`
      : `${known}, ${shown ?? "unknown"}, which becomes ${fingerprint}: it accepts the new one besides the old one as long as it runs, and after that only what its configuration says.`;
  const next =
    pin === undefined
      ? "Have the new fingerprint put into PROXMOX_FINGERPRINT when it is known, and repeat the call with force: true."
      : `Have ${pin} put into this server's configuration, and repeat the call with force: true.`;
  const facts = { node, ...(shown && { shown }), ...(pin && { fingerprint, pin }) };
  return new Problem("confirmation_required", says, { next, facts });
}

function judge({ ca }: HostTrust): string {
  return ca === undefined ? "a public authority" : "the authority of PROXMOX_CA_FILE";
}

function whyNot(bundle: Bundle, { host, trust }: Judged): string | undefined {
  if (!accepts(trust, bundle)) return `its chain does not end at ${judge(trust)}`;
  const name = hostnameOf(host);
  const [leaf] = bundle.chain;
  const named = isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name);
  return named === undefined ? `it is not for ${name}, which this server dials` : undefined;
}

/** Public authorities are known to the runtime only; what is signed by itself is certainly none of theirs. */
function accepts({ ca }: HostTrust, { chain }: Bundle): boolean {
  if (ca !== undefined) return isTrustedBy(chain, ca);
  const last = chain.at(-1) ?? chain[0];
  return chain.length > 1 || !last.checkIssued(last);
}

/** Of the node's own only fingerprints and names are known. Who has replaced it knows better than we do. */
function whyNotOwn(own: Certificate, { trust, before }: Judged): string | undefined {
  const authority = before.find(({ use }) => use === "authority");
  if (authority === undefined || own.issuer !== authority.subject) return undefined;
  const trusted = certificateBlocks(trust.ca ?? "").map(
    (block) => new X509Certificate(block).fingerprint256,
  );
  const isTrusted = [own, authority].some(({ fingerprint = "" }) => trusted.includes(fingerprint));
  return isTrusted
    ? undefined
    : `the cluster's own authority is not ${judge(trust)}, which it trusts`;
}

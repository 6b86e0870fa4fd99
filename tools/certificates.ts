import * as z from "zod";
import type { Certificate } from "../src/proxmox/certificates/certificates.ts";
import { count, oneLine, table } from "../src/text.ts";
import { defineTool } from "../src/tool.ts";
import { type Degraded, degradedBy, missingWords } from "./degraded.ts";
import { page } from "./page.ts";
import * as params from "./params.ts";

const dayMs = 86_400_000;
/** From then on a certificate is pointed out. */
const soonDays = 30;

export const listCertificates = defineTool({
  name: "list_certificates",
  description:
    "TLS certificates of the nodes: which one each shows, its names, issuer, expiry and SHA-256 fingerprint; those that expire soon stand first.",
  effect: "read",
  input: z.object({
    node: params.node.optional(),
    limit: z.int().min(1).max(100).default(10),
    cursor: params.cursor,
    ...params.reading,
  }),
  output: z.object({
    certificates: z.array(z.unknown()),
    degraded: z.array(z.unknown()).optional(),
    total: z.int(),
    left: z.int(),
    cursor: z.string().optional(),
  }),
  async run({ node, limit, cursor }, { proxmox, call }) {
    const { certificates, degraded } = await proxmox.certificates.list(node, call);
    const now = proxmox.clock.now();
    const issuer = certificates.find(({ use }) => use === "authority")?.subject;
    const fields = oncePerCluster(certificates)
      .map((one) => certificateFields(one, now, issuer))
      .toSorted((a, b) => rank(a) - rank(b));
    const keyOf = (one: CertificateFields) => `${one.node} ${one.file}`;
    const options = { limit, cursor, args: { node }, fields: (one: CertificateFields) => one };
    const { shown, total, left, next } = page(fields, keyOf, options);
    return {
      certificates: [...shown],
      ...degradedBy(degraded),
      total,
      left,
      ...(next !== undefined && { cursor: next }),
    };
  },
  show({ certificates, degraded = [], total, left, cursor }) {
    const rows = certificates as readonly CertificateFields[];
    const soon = rows.filter(({ expires }) => expires !== undefined).length;
    return [
      soon === 0
        ? `${count(total, "certificate")}; none of these expires within ${soonDays} days.`
        : `${count(total, "certificate")}; ${soon} of these expired or within ${soonDays} days of it.`,
      table(rows, columns),
      "Fingerprints shown:",
      ...rows
        .filter(({ served }) => served)
        .map((row) => `${row.node}: ${row.fingerprint ?? "unknown"}`),
      ...degraded.map((one) => missingWords(one as Degraded, "its certificates are not known")),
      ...(left > 0 ? [`${left} more: repeat with cursor "${cursor}".`] : []),
    ].join("\n");
  },
});

/** The authority is the same on every node: it is listed once. */
function oncePerCluster(all: readonly Certificate[]): readonly Certificate[] {
  const seen = new Set<string | undefined>();
  return all.filter(({ use, fingerprint }) => {
    if (use !== "authority") return true;
    const known = seen.has(fingerprint);
    seen.add(fingerprint);
    return !known;
  });
}

/** A certificate may be for hundreds of names. */
const maxNames = 10;
const maxNameChars = 100;

/** Names that every host has say nothing. */
const everywhere = /^(?:localhost|127\.0\.0\.1|(?:0+:)*:?0*1)$/;

/** `clusterIssuer`: the subject of the cluster's own authority, which is long and always the same. `now`: ms since the epoch. */
export function certificateFields(one: Certificate, now: number, clusterIssuer?: string) {
  const { node, file: name, use, served, subject, issuer, names, fingerprint, notAfter } = one;
  const telling = names.filter((name) => !everywhere.test(name));
  const more = telling.length - maxNames;
  const days = notAfter === undefined ? undefined : Math.floor((notAfter - now) / dayMs);
  const expires =
    days === undefined || days >= soonDays ? undefined : days < 0 ? "expired" : "soon";
  return {
    node: use === "authority" ? "(all)" : node,
    file: name,
    use,
    served,
    ...(expires && { expires }),
    ...(days !== undefined && { days_left: days }),
    ...(notAfter !== undefined && { not_after: new Date(notAfter).toISOString() }),
    names: telling.slice(0, maxNames).map((name) => oneLine(name, maxNameChars)),
    ...(more > 0 && { more_names: more }),
    subject,
    ...(issuer !== subject && { issuer: issuer === clusterIssuer ? "cluster authority" : issuer }),
    ...(fingerprint !== undefined && { fingerprint }),
  };
}

export type CertificateFields = ReturnType<typeof certificateFields>;

/** What expires soonest of what is pointed out; the rest stays as it was, the authority last. */
function rank({ use, expires, days_left: days = 0 }: CertificateFields): number {
  if (expires !== undefined) return days;
  return use === "authority" ? Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER - 1;
}

const columns = [
  { head: "node", cell: (row: CertificateFields) => row.node },
  { head: "file", cell: (row: CertificateFields) => row.file },
  { head: "use", cell: (row: CertificateFields) => `${row.use}${row.served ? ", shown" : ""}` },
  {
    head: "expires",
    cell: (row: CertificateFields) =>
      row.not_after &&
      `${row.not_after.slice(0, 10)} (${row.expires === "expired" ? "EXPIRED" : `${row.days_left} d${row.expires ? ", SOON" : ""}`})`,
  },
  {
    head: "issuer",
    cell: (row: CertificateFields) => row.issuer ?? (row.subject === "unknown" ? "" : "itself"),
  },
  { head: "names", cell: namesCell },
];

/** As many as a cell of a table holds, and how many more there are. */
function namesCell({ names, more_names: unlisted = 0 }: CertificateFields): string {
  const all = names.join(" ");
  if (all.length <= 60 && unlisted === 0) return all;
  const fit = names.filter((_, index) => names.slice(0, index + 1).join(" ").length <= 60);
  const shown = fit.length === 0 ? [oneLine(names[0] ?? "", 60)] : fit;
  const more = names.length - shown.length + unlisted;
  return more > 0 ? `${shown.join(" ")} and ${more} more` : shown.join(" ");
}

import { createHash, createPublicKey, X509Certificate } from "node:crypto";

/** PEM texts. */
export interface Pems {
  readonly cert: string;
  readonly key: string;
}

/** A certificate as GET /nodes/{node}/certificates/info describes it. PVE: pve-common src/PVE/Certificate.pm */
export interface CertificateInfo {
  readonly filename: string;
  /** SHA-256, colons, upper case. */
  readonly fingerprint: string;
  /** `/O=…/CN=…` */
  readonly subject: string;
  readonly issuer: string;
  /** Unix seconds. */
  readonly notbefore: number;
  readonly notafter: number;
  readonly san: readonly string[];
  readonly pem: string;
  readonly "public-key-type": string;
  readonly "public-key-bits": number;
}

export interface CertificateFile extends Pems {
  /** Absent: nobody can read what is in the file. */
  readonly info?: CertificateInfo;
}

/** The certificate files of one node, and what its pveproxy has loaded of them. */
export interface NodeCertificates {
  /** pve-ssl.pem, from the cluster's own authority. */
  own: CertificateFile;
  /** pveproxy-ssl.pem, uploaded or by ACME; it is shown instead of the other. */
  custom: CertificateFile | undefined;
  loaded: CertificateFile;
  /** What the workers from before the last restart still show; undefined once they are gone. */
  before: CertificateFile | undefined;
  restarts: number;
  connections: number;
}

/** How long workers from before a restart go on taking connections. */
const handOverMs = 5000;

const authorityName =
  "/CN=Proxmox Virtual Environment/OU=5f0c6a52-8a0e-4f0b-9a3c-0d5b8a1f7c11/O=PVE Cluster Manager CA";

/** pve-root-ca.pem, the same on every node. */
export const authority: CertificateInfo = standIn("pve-root-ca.pem", "authority of the lab", {
  subject: authorityName,
  notbefore: Date.UTC(2024, 0, 1) / 1000,
  notafter: Date.UTC(2034, 0, 1) / 1000,
  san: [],
  bits: 4096,
});

/** What an ACME authority issues for these domains. `now`: milliseconds since the epoch. */
export function issued(domains: readonly string[], now: number): CertificateFile {
  const nowS = Math.floor(now / 1000);
  const [domain = ""] = domains;
  const info = standIn("pveproxy-ssl.pem", `${domain} ${nowS}`, {
    subject: `/CN=${domain}`,
    notbefore: nowS,
    notafter: nowS + 90 * 86_400,
    san: domains,
    bits: 2048,
  });
  return { cert: info.pem, key: "", info: { ...info, issuer: "/C=US/O=Lab's Encrypt/CN=R11" } };
}

/** A node as it was installed. `now`: milliseconds since the epoch. */
export function installed(node: string, ip: string, now: number): NodeCertificates {
  const nowS = Math.floor(now / 1000);
  const fqdn = `${node}.lab.example`;
  const info = standIn("pve-ssl.pem", node, {
    subject: `/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN=${fqdn}`,
    notbefore: nowS - 200 * 86_400,
    notafter: nowS + 530 * 86_400,
    san: ["127.0.0.1", "0000:0000:0000:0000:0000:0000:0000:0001", "localhost", ip, node, fqdn],
    bits: 2048,
  });
  return fresh({ cert: info.pem, key: "", info });
}

/** The same with a real certificate as the node's own, for a listener that shows it. */
export function installedWith(pems: Pems): NodeCertificates {
  const info = describe(pems.cert, "pve-ssl.pem");
  return fresh({ ...pems, ...(info && { info }) });
}

function fresh(own: CertificateFile): NodeCertificates {
  return {
    own,
    custom: undefined,
    loaded: own,
    before: undefined,
    restarts: 0,
    connections: 0,
  };
}

/** What PVE::Cluster get_node_fingerprint says: of the custom file where there is one. */
export function nodeFingerprint({ own, custom }: NodeCertificates): string | undefined {
  return (custom ?? own).info?.fingerprint;
}

/** `systemctl reload-or-restart pveproxy`: new workers read the files, old ones go on for some seconds. */
export function restartProxy(
  certificates: NodeCertificates,
  later: (ms: number, run: () => void) => void,
): void {
  certificates.before = certificates.loaded;
  certificates.loaded = certificates.custom ?? certificates.own;
  const restart = ++certificates.restarts;
  later(handOverMs, () => {
    if (certificates.restarts === restart) certificates.before = undefined;
  });
}

/** What a new connection is shown: old and new in turn while both kinds of workers run; undefined where pveproxy could not start. */
export function present(certificates: NodeCertificates): Pems | undefined {
  const { before, loaded } = certificates;
  const turn = certificates.connections++ % 2;
  const shown = before !== undefined && turn === 1 ? before : loaded;
  return fits(shown) ? shown : undefined;
}

function fits({ cert, key }: Pems): boolean {
  try {
    const held = createPublicKey(key).export({ type: "spki", format: "der" });
    return held.equals(new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" }));
  } catch {
    return false; // no key, no certificate: nothing to start with
  }
}

/** Reads the first certificate of a file; undefined where there is none. */
export function describe(pem: string, filename: string): CertificateInfo | undefined {
  const certificate = parse(pem);
  if (!certificate) return undefined;
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const names = (certificate.subjectAltName ?? "").split(", ").filter((name) => name !== "");
  return {
    filename,
    fingerprint: certificate.fingerprint256,
    subject: slashed(certificate.subject),
    issuer: slashed(certificate.issuer),
    notbefore: Math.floor(Date.parse(certificate.validFrom) / 1000),
    notafter: Math.floor(Date.parse(certificate.validTo) / 1000),
    san: names.map((name) => name.replace(/^[^:]*:/, "")),
    pem: certificate.toString(),
    "public-key-type": asymmetricKeyType === "rsa" ? "rsaEncryption" : "id-ecPublicKey",
    "public-key-bits": asymmetricKeyDetails?.modulusLength ?? 256,
  };
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function slashed(name: string | undefined): string {
  return (name ?? "")
    .split("\n")
    .filter((part) => part !== "")
    .map((part) => `/${part}`)
    .join("");
}

/** The description of a certificate that nobody ever has to parse; fingerprint and PEM text fit together all the same. */
function standIn(
  filename: string,
  seed: string,
  about: Pick<CertificateInfo, "subject" | "notbefore" | "notafter" | "san"> & {
    readonly bits: number;
  },
): CertificateInfo {
  const { bits, ...rest } = about;
  const bytes = createHash("sha512").update(seed).digest();
  const hex = createHash("sha256").update(bytes).digest("hex").toUpperCase();
  return {
    filename,
    fingerprint: (hex.match(/../g) ?? []).join(":"),
    issuer: authorityName,
    pem: `-----BEGIN CERTIFICATE-----\n${bytes.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`,
    "public-key-type": "rsaEncryption",
    "public-key-bits": bits,
    ...rest,
  };
}

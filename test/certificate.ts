import { isIP } from "node:net";
import { generate } from "selfsigned";

export interface Certificate {
  /** PEM. */
  readonly key: string;
  /** PEM; signed by itself, so it is its own authority. */
  readonly cert: string;
}

/** A certificate for 127.0.0.1 and localhost, made on the spot. */
export async function selfSigned(name = "localhost"): Promise<Certificate> {
  const pems = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
  });
  return { key: pems.private, cert: pems.cert };
}

export interface CertificateOptions {
  /** DNS names and IPv4 addresses; an empty list: no subjectAltName at all. */
  readonly names?: readonly string[];
  /** Whether it may issue others. */
  readonly authority?: boolean;
  /** Signed by itself without. */
  readonly issuer?: Certificate;
  readonly from?: Date;
  readonly until?: Date;
  /** Encrypts the key. */
  readonly passphrase?: string;
}

/** A certificate for `name`, valid in all of 2026 and 2027 unless asked otherwise. */
export async function certificate(
  name: string,
  options: CertificateOptions = {},
): Promise<Certificate> {
  const { names = [name], authority = false, issuer, passphrase } = options;
  const pems = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notBeforeDate: options.from ?? new Date("2025-12-01T00:00:00Z"),
    notAfterDate: options.until ?? new Date("2028-01-01T00:00:00Z"),
    extensions: [
      { name: "basicConstraints", cA: authority, critical: true },
      ...(names.length > 0 ? [alternatives(names)] : []),
    ],
    ...(issuer && { ca: issuer }),
    ...(passphrase !== undefined && { passphrase }),
  });
  return { key: pems.private, cert: pems.cert };
}

function alternatives(names: readonly string[]) {
  return {
    name: "subjectAltName" as const,
    altNames: names.map((one) =>
      isIP(one) === 0 ? { type: 2 as const, value: one } : { type: 7 as const, ip: one },
    ),
  };
}

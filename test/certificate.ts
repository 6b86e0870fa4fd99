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

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Problem } from "../../problem.ts";
import { count, oneLine } from "../../text.ts";

/** A certificate with its chain and its key, of which everything that can be known beforehand is known to be right. */
export interface Bundle {
  /** The leaf first, each issued by the next. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
  /** PEM, the chain and nothing else. */
  readonly certificates: string;
  /** PEM, the one key and nothing else. Secret. */
  readonly key: string;
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const keyBlock =
  /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^-]*(?:-[^-]+)*?-----END (?:[A-Z]+ )?PRIVATE KEY-----/;

/**
 * Reads and checks what PVE would take unseen: it accepts a key that does not fit, and keeps a file that it cannot read.
 * `now`: ms since the epoch. Throws `invalid_input`, never with a piece of the key.
 */
export function readBundle(certificate: string, key: string, now: number): Bundle {
  const chain = readChain(lines(certificate));
  const [keyText, held] = readKey(lines(key));
  assertOrder(chain, held);
  for (const one of chain) assertValid(one, now);
  const certificates = chain.map((one) => `${one.toString().trim()}\n`).join("");
  return { chain, certificates, key: keyText };
}

/** Each certificate in a PEM text, unread. */
export function certificateBlocks(text: string): readonly string[] {
  return text.match(certificateBlock) ?? [];
}

/** Line breaks that were spelled out on the way, as JSON in JSON has them, are line breaks. */
function lines(text: string): string {
  const whole = text.includes("\n") ? text : text.replaceAll("\\r", "").replaceAll("\\n", "\n");
  return whole.replace(/\r\n?/g, "\n");
}

function readChain(text: string): Bundle["chain"] {
  const chain = certificateBlocks(text).map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw wrong("certificate", `Certificate ${index + 1} of the chain cannot be read.`, paste);
    }
  });
  const [leaf, ...rest] = chain;
  if (leaf) return [leaf, ...rest];
  throw wrong("certificate", "There is no PEM certificate in what was given.", paste);
}

const paste =
  "Give the whole PEM text, each certificate from its BEGIN to its END line, the host's own first.";

function readKey(text: string): readonly [string, KeyObject] {
  const [block] = keyBlock.exec(text) ?? [];
  if (block === undefined) {
    throw wrong(
      "key",
      "There is no PEM private key in what was given.",
      "Give the whole PEM text, from its BEGIN to its END line.",
    );
  }
  if (/ENCRYPTED/.test(block)) {
    throw wrong(
      "key",
      "The private key is encrypted, and Proxmox has no place for its passphrase.",
      "Decrypt it first (openssl pkey -in KEY -out PLAIN) and give that.",
    );
  }
  try {
    return [`${block}\n`, createPrivateKey(block)];
  } catch {
    // The reason is not passed on: a parser may quote what it read.
    throw wrong(
      "key",
      "The private key cannot be read.",
      "Give the PEM text as it is in its file.",
    );
  }
}

function assertOrder(chain: Bundle["chain"], key: KeyObject): void {
  const [leaf] = chain;
  const owner = chain.find((one) => one.checkPrivateKey(key));
  if (!owner) {
    throw wrong(
      "key",
      `The key does not belong to the certificate of ${nameOf(leaf)}.`,
      "Give the key that this certificate was made with; Proxmox itself would not notice and then show nothing.",
    );
  }
  const gap = chain.findIndex((one, index) => !isIssuedBy(one, chain[index + 1]));
  if (owner === leaf && gap < 0) return;
  const order = rightOrder(owner, chain);
  if (order.length === chain.length) {
    throw wrong(
      "certificate",
      "The certificates are in the wrong order.",
      `Give them in this order, each followed by its issuer: ${order.map(nameOf).join("; ")}.`,
    );
  }
  const odd = chain.find((one) => !order.includes(one));
  throw wrong(
    "certificate",
    `${odd ? nameOf(odd) : "A certificate"} has no place in the chain: it did not issue what stands before it.`,
    `Give the certificate of ${nameOf(owner)} and then only its issuers, each after what it has issued.`,
  );
}

/** What has no next one is the end of the chain. */
function isIssuedBy(one: X509Certificate, issuer: X509Certificate | undefined): boolean {
  return !issuer || (one.checkIssued(issuer) && one.verify(issuer.publicKey));
}

function rightOrder(
  owner: X509Certificate,
  all: readonly X509Certificate[],
): readonly X509Certificate[] {
  const order = [owner];
  for (;;) {
    const last = order.at(-1);
    const next = all.find((one) => !order.includes(one) && last && isIssuedBy(last, one));
    if (!next) return order;
    order.push(next);
  }
}

function assertValid(one: X509Certificate, now: number): void {
  const [from, until] = [Date.parse(one.validFrom), Date.parse(one.validTo)];
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  if (until <= now) {
    throw wrong(
      "certificate",
      `The certificate of ${nameOf(one)} expired on ${day(until)} UTC.`,
      "Give a certificate that is valid.",
    );
  }
  if (from > now) {
    throw wrong(
      "certificate",
      `The certificate of ${nameOf(one)} is not valid before ${day(from)} UTC.`,
      "Wait until then, or set the clocks right.",
    );
  }
}

/** Whether its subjectAltName has at least one of these host names and addresses: nobody looks into the subject any more. */
export function isFor(certificate: X509Certificate, names: readonly string[]): boolean {
  const named = { subject: "never" } as const;
  return names.some((name) =>
    Boolean(isIP(name) === 0 ? certificate.checkHost(name, named) : certificate.checkIP(name)),
  );
}

/** Whether one of the authorities in `ca` (PEM) vouches for the end of the chain, or is it. */
export function isTrustedBy(chain: Bundle["chain"], ca: string): boolean {
  const last = chain.at(-1) ?? chain[0];
  return certificateBlocks(ca).some((block) => {
    const authority = new X509Certificate(block);
    return authority.fingerprint256 === last.fingerprint256 || isIssuedBy(last, authority);
  });
}

/** `CN=pve1.example`, or its names where it has no subject. */
export function nameOf(certificate: X509Certificate): string {
  const subject = (certificate.subject ?? "").split("\n").join(", ");
  return oneLine(subject === "" ? (certificate.subjectAltName ?? "no name") : subject, 120);
}

/** `2 certificates` and so on: how a plan shows what it would send. */
export function chainWords({ chain }: Bundle): string {
  return `(PEM, ${count(chain.length, "certificate")})`;
}

function wrong(argument: "certificate" | "key", message: string, next: string): Problem {
  return new Problem("invalid_input", `${message} Nothing was sent.`, {
    next,
    facts: { argument },
  });
}

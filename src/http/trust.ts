import { createHash } from "node:crypto";
import { isIP } from "node:net";
import {
  type ConnectionOptions,
  connect,
  type DetailedPeerCertificate,
  type TLSSocket,
} from "node:tls";
import { Problem } from "../problem.ts";
import { isTrustFault } from "./retry.ts";
import { type HostTrust, WireFault } from "./transport.ts";

/** How a host proves that it is the one that is meant. By default: a chain to a public CA, and the host's name in it. */
export interface Trust {
  /** PEM; takes the place of the public CAs. */
  readonly ca?: string;
  /** SHA-256 of the leaf certificate; one of them must fit, and then neither chain nor name matter. */
  readonly fingerprints?: readonly string[];
  /** Anything goes. For tests in a closed network only. */
  readonly insecure?: boolean;
}

/** A Trust that learns: a certificate that we put on a host ourselves is one more that it may show. */
export class LearningTrust implements HostTrust, Trust {
  readonly ca?: string;
  readonly insecure: boolean;
  seen: string | undefined;
  readonly #pinned: readonly string[];
  readonly #look: () => Promise<readonly string[] | undefined>;
  #accepted: readonly string[] = [];

  /** `look`: at the host. Throws `invalid_input` for a fingerprint that is none. */
  constructor(
    { ca, fingerprints = [], insecure = false }: Trust,
    look: () => Promise<readonly string[] | undefined>,
  ) {
    this.#look = look;
    if (ca !== undefined) this.ca = ca;
    this.insecure = insecure;
    this.#pinned = fingerprints.map(normalizeFingerprint);
  }

  get fingerprints(): readonly string[] {
    return [...this.#pinned, ...this.#accepted];
  }

  look(): Promise<readonly string[] | undefined> {
    return this.#look();
  }

  accept(fingerprint: string): () => void {
    const one = normalizeFingerprint(fingerprint);
    if (this.#pinned.length === 0 || this.fingerprints.includes(one)) return () => undefined;
    this.#accepted = [...this.#accepted, one];
    return () => {
      this.#accepted = this.#accepted.filter((other) => other !== one);
    };
  }
}

export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/** `ab:cd…` or `ABCD…` as PVE shows it: upper case, colons. Throws `invalid_input` for what is no SHA-256. */
export function normalizeFingerprint(text: string): string {
  const digits = text.replaceAll(":", "").trim().toUpperCase();
  if (!/^[0-9A-F]{64}$/.test(digits)) {
    throw new Problem("invalid_input", `"${text.slice(0, 120)}" is not a SHA-256 fingerprint.`, {
      next: "Copy it from `pvenode cert info` on the host: 32 pairs of hexadecimal digits with colons between them.",
    });
  }
  return digits.replace(/(..)(?!$)/g, "$1:");
}

/**
 * A TLS connection to a host that has proved itself; until then nothing is written to it.
 * Rejects with a WireFault that was not sent: `CERT_FINGERPRINT_MISMATCH`, `CERT_NOT_TRUSTED`, or the runtime's own code.
 */
export async function connectTrusted(
  address: Address,
  trust: Trust,
  timeoutMs: number,
): Promise<TLSSocket> {
  const pins = trust.fingerprints ?? [];
  if (pins.length > 0) return pinned(address, pins, timeoutMs);
  if (trust.insecure) return open(address, { rejectUnauthorized: false }, timeoutMs);
  try {
    const ca = trust.ca === undefined ? {} : { ca: trust.ca };
    return await open(address, { ...ca, rejectUnauthorized: true }, timeoutMs);
  } catch (error) {
    if (!(error instanceof WireFault) || !isTrustFault(error)) throw error;
    throw await untrusted(address, error, timeoutMs);
  }
}

/** The comparison is ours: PVE's certificate is signed by a CA of the cluster's own and often names no address that one dials. */
async function pinned(
  address: Address,
  pins: readonly string[],
  timeoutMs: number,
): Promise<TLSSocket> {
  const socket = await open(address, { rejectUnauthorized: false }, timeoutMs);
  const shown = fingerprintOf(socket);
  if (shown !== undefined && pins.includes(shown)) return socket;
  socket.destroy();
  throw new WireFault(
    "CERT_FINGERPRINT_MISMATCH",
    `${name(address)} shows a certificate with the fingerprint ${shown ?? "(none)"}, but ${pins.join(" or ")} is expected. Nothing was sent. If its certificate was renewed, ${compare(shown)}`,
    { sent: false },
  );
}

/** A second look at the same host, only to be able to say which certificate it shows. */
async function untrusted(
  address: Address,
  cause: WireFault,
  timeoutMs: number,
): Promise<WireFault> {
  const [shown] = (await shownBy(address, timeoutMs)) ?? []; // the message can do without it
  return new WireFault(
    "CERT_NOT_TRUSTED",
    `The certificate of ${name(address)} is not trusted (${cause.code}). Nothing was sent. If it is the host's own, ${compare(shown)} Or name its CA with PROXMOX_CA_FILE.`,
    { sent: false, cause },
  );
}

/** The fingerprints of what the host shows to anybody, its own certificate first; undefined where nobody answers. */
export async function shownBy(
  address: Address,
  timeoutMs: number,
): Promise<readonly string[] | undefined> {
  try {
    const socket = await open(address, { rejectUnauthorized: false }, timeoutMs);
    const chain = chainOf(socket);
    socket.destroy();
    return chain;
  } catch {
    return undefined;
  }
}

/** Some runtimes tell the first one only; what signs itself is named as its own issuer. */
function chainOf(socket: TLSSocket): readonly string[] {
  const found: string[] = [];
  let one: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (one?.raw) {
    const fingerprint = digest(one.raw);
    if (found.includes(fingerprint)) break;
    found.push(fingerprint);
    one = one.issuerCertificate;
  }
  return found;
}

function compare(shown: string | undefined): string {
  const setting = shown === undefined ? "PROXMOX_FINGERPRINT" : `PROXMOX_FINGERPRINT=${shown}`;
  return `compare it with the host's (pvenode cert info there, or the web interface under Certificates) and, only if they are equal, set ${setting}`;
}

function name({ hostname, port }: Address): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Of what the host at the other end has shown. */
export function fingerprintOf(socket: TLSSocket): string | undefined {
  const { raw } = socket.getPeerCertificate();
  return raw ? digest(raw) : undefined;
}

function digest(certificate: Buffer): string {
  return normalizeFingerprint(createHash("sha256").update(certificate).digest("hex"));
}

function open(
  { hostname, port }: Address,
  options: ConnectionOptions,
  timeoutMs: number,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (code: string, message: string, cause?: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new WireFault(code, message, { sent: false, cause }));
    };
    const timer = setTimeout(
      () => fail("ETIMEDOUT", `no connection within ${timeoutMs} ms`),
      timeoutMs,
    );
    const socket = connect({
      host: hostname,
      port,
      ALPNProtocols: ["http/1.1"],
      ...(isIP(hostname) === 0 && { servername: hostname }),
      ...options,
    });
    // It stays: an error after the hand-over must not be an uncaught one, and undici listens for itself.
    socket.on("error", (error: NodeJS.ErrnoException) =>
      fail(error.code ?? error.name, error.message, error),
    );
    socket.once("close", () => fail("ECONNRESET", "closed before the connection was ready"));
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      socket.setNoDelay(true).setKeepAlive(true, 60_000);
      resolve(socket);
    });
  });
}

/** One HTTP exchange with one Proxmox host: the lowest seam. The embedded cluster implements it too. */
export interface Transport {
  /**
   * Sends the request once and reads the whole answer. Any HTTP status is an answer, not an error.
   * Throws WireFault when there is no complete answer, and the signal's reason when the caller gave up before anything was
   * written; a caller who gives up later gets a WireFault with `sent: true` whose cause is the signal's reason.
   */
  send(request: WireRequest): Promise<WireReply>;
  close(): Promise<void>;
  /** How the host's certificate is judged; absent where there is none. */
  readonly trust?: HostTrust;
}

/** What makes the certificate of a host acceptable: a pinned fingerprint or, without one, an authority. */
export interface HostTrust {
  /** SHA-256, `AA:BB:…`; empty where authorities judge. */
  readonly fingerprints: readonly string[];
  /** PEM; absent: the public authorities. */
  readonly ca?: string;
  /** Any certificate will do. */
  readonly insecure: boolean;
  /** Takes another fingerprint besides, where they are pinned, for the life of this process; the answer takes it back. */
  accept(fingerprint: string): () => void;
  /** What the host showed when the last connection was made. */
  readonly seen?: string | undefined;
  /** What it shows to a connection of its own now, the leaf first and what is sent along; undefined where nobody answers. */
  look?(): Promise<readonly string[] | undefined>;
}

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface WireRequest {
  readonly method: Method;
  /** Path and query as they stand in the request line: `/api2/json/nodes/pve1/qemu/101/config?current=1`. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** A form-encoded body; sent together with the head in one write. */
  readonly body?: string;
  /** Instead of `body`: one that is too large to be held; `content-length` is set from it. */
  readonly stream?: BodyStream;
  readonly signal?: AbortSignal;
}

/** A body that is read piece by piece while it is sent. */
export interface BodyStream {
  /** In bytes: exactly so many come, or what is being sent breaks off. */
  readonly length: number;
  /** From the beginning; once for each attempt. */
  open(): AsyncIterable<Uint8Array>;
}

/** A file as the last part of a multipart body. */
export interface FilePart extends BodyStream {
  /** Letters, digits, `_`, `.` and `-`: nothing that would have to be quoted. */
  readonly filename: string;
}

export interface WireReply {
  readonly status: number;
  /** The reason phrase of the status line: PVE puts the first line of its error text there. */
  readonly reason: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** No complete answer came. `sent: false` only where the request provably never left this process. */
export class WireFault extends Error {
  readonly sent: boolean;
  /** `ECONNREFUSED`, `ENOTFOUND`, `CERT_…`, `UND_ERR_SOCKET` … as the runtime names it. */
  readonly code: string;

  constructor(code: string, message: string, options: { sent: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "WireFault";
    this.code = code;
    this.sent = options.sent;
  }
}

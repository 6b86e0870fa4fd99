import { createHash, type Hash } from "node:crypto";
import { type BodyStream, WireFault } from "../http/transport.ts";
import { Refusal } from "./refusal.ts";
import type { Given } from "./request.ts";

/** A file that lies in /var/tmp of the answering host and waits for its request. */
export interface Upload {
  readonly sizeBytes: number;
  /** Hex, by the algorithm that the request names; sha256 without one. */
  readonly checksum: string;
  /** Stands in for its bytes; of small files only. */
  readonly bytes?: string;
}

/** The parameters before the file, and the file. */
export interface Received {
  readonly given: Given;
  readonly upload: Upload;
}

/** The parts before the file may not be longer than this. */
const headBytes = 65_536;
/** Larger files are hashed and forgotten. */
const keptBytes = 1024 ** 2;
const algorithms: readonly string[] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

/**
 * Reads it as PVE::APIServer::AnyEvent file_upload_multipart does: content, checksum-algorithm and checksum in this order, then
 * the file in a part called `filename`; anything else is refused. Rejects with WireFault where the sender stops before the end.
 */
export async function receive(
  { length, open }: BodyStream,
  boundary: string,
  signal: AbortSignal | undefined,
): Promise<Received> {
  const reader = new Reader(boundary);
  let read = 0;
  try {
    for await (const chunk of open()) {
      if (signal?.aborted) break;
      read += chunk.length;
      reader.add(Buffer.from(chunk));
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new WireFault("UND_ERR_SOCKET", "the body broke off", { sent: true, cause: error });
  }
  if (read !== length) {
    throw new WireFault("UND_ERR_SOCKET", `${read} of ${length} bytes came`, { sent: true });
  }
  return reader.end();
}

class Reader {
  readonly #boundary: string;
  #given: Given | undefined;
  #hash: Hash = createHash("sha256");
  #size = 0;
  #kept: Buffer[] = [];
  /** What has not been understood yet: first the parts before the file, then what may be the last boundary. */
  #rest = Buffer.alloc(0);

  constructor(boundary: string) {
    this.#boundary = boundary;
  }

  add(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (!this.#given && !this.#readHead()) return;
    const tail = this.#boundary.length + 10;
    if (this.#rest.length <= tail) return;
    this.#take(this.#rest.subarray(0, -tail));
    this.#rest = Buffer.from(this.#rest.subarray(-tail));
  }

  end(): Received {
    const last = this.#rest.toString("latin1");
    const at = last.lastIndexOf(`\r\n--${this.#boundary}--`);
    if (!this.#given || at < 0) throw refused("upload failed");
    this.#take(this.#rest.subarray(0, at));
    const upload = {
      sizeBytes: this.#size,
      checksum: this.#hash.digest("hex"),
      ...(this.#size <= keptBytes && { bytes: Buffer.concat(this.#kept).toString("utf8") }),
    };
    return { given: this.#given, upload };
  }

  #take(bytes: Buffer): void {
    this.#size += bytes.length;
    this.#hash.update(bytes);
    if (this.#size <= keptBytes) this.#kept.push(Buffer.from(bytes));
    else this.#kept = [];
  }

  #readHead(): boolean {
    const text = this.#rest.toString("latin1");
    const file = /content-disposition: [^\r\n]*filename="[^\r\n]*(?:\r\n[^\r\n]+)*\r\n\r\n/i.exec(
      text,
    );
    if (!file && text.length > headBytes) throw refused("upload failed");
    if (!file) return false;
    const end = file.index + file[0].length;
    this.#given = readParts(text.slice(0, end), this.#boundary);
    const algorithm = String(this.#given["checksum-algorithm"] ?? "sha256");
    if (algorithms.includes(algorithm)) this.#hash = createHash(algorithm);
    this.#rest = Buffer.from(this.#rest.subarray(end));
    return true;
  }
}

/** What is not where it is looked for is not found, and the file then does not come next. */
function readParts(head: string, boundary: string): Given {
  const given: Given = {};
  const delimiter = `--${boundary}\r\n`;
  let rest = head.slice(Math.max(0, head.indexOf(delimiter)));
  for (const name of ["content", "checksum-algorithm", "checksum"]) {
    const start = `${delimiter}Content-Disposition: form-data; name="${name}"\r\n`;
    if (!rest.startsWith(start)) continue;
    const value = rest.indexOf("\r\n\r\n", start.length - 2) + 4;
    const next = rest.indexOf(`\r\n${delimiter}`, value);
    if (next < 0) throw refused("upload failed");
    given[name] = rest.slice(value, next);
    rest = rest.slice(next + 2);
  }
  const file = /^Content-Disposition: form-data; name="([^"]*)"; filename="([^"]+)"/.exec(
    rest.slice(delimiter.length),
  );
  if (!rest.startsWith(delimiter) || !file) throw refused("upload failed");
  const [, field, filename = ""] = file;
  if (field !== "filename") {
    throw refused(`wrong field name '${field}' for file upload, expected 'filename'`);
  }
  return { ...given, filename: filename.trim() };
}

function refused(text: string): Refusal {
  return new Refusal(501, text, { bare: true });
}

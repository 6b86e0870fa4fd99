import { Problem } from "../../problem.ts";

/** What PVE takes as a file of its own, by URL or from here. */
export type DownloadContent = "iso" | "vztmpl" | "import";

/** A file that is to come to a storage. */
export interface FileOrder {
  readonly storage: string;
  readonly content: DownloadContent;
  readonly filename?: string | undefined;
  readonly checksum?: string | undefined;
  readonly node?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

export const checksumAlgorithms = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Hex. */
  readonly value: string;
}

/** Where a file comes from and what it will be called. */
export interface Source {
  readonly url: string;
  /** Without its query, which may hold a signature: for messages. */
  readonly shown: string;
  readonly filename: string;
  /** How PVE unpacks it on the way. */
  readonly compression?: string;
}

/** PVE: pve-storage src/PVE/Storage.pm (ISO_EXT_RE_0, VZTMPL_EXT_RE_1, UPLOAD_IMPORT_EXT_RE_1) */
export const extensions: Readonly<Record<DownloadContent, RegExp>> = {
  iso: /.\.(?:iso|img)$/i,
  vztmpl: /.\.tar(?:\.(?:gz|xz|zst|bz2))?$/i,
  import: /.\.(?:ova|qcow2|raw|vmdk)$/,
};

export const wanted: Readonly<Record<DownloadContent, string>> = {
  iso: ".iso or .img",
  vztmpl: ".tar.gz, .tar.xz, .tar.zst or .tar.bz2",
  import: ".qcow2, .raw, .vmdk or .ova",
};

/** PVE: pve-storage src/PVE/Storage.pm (decompressor_info): ISO images only, and no xz. */
const unpacks = /\.(gz|lzo|zst|bz2)$/i;
const packed = /\.(?:gz|lzo|zst|bz2|xz|zip|7z)$/i;

/**
 * Reads URL and file name as PVE will, and refuses what PVE would refuse, with the way out. The name is given or the URL's last
 * segment; PVE's own normalization is applied here, so that the name in the answer is the name on the storage.
 * Throws `invalid_input`. PVE: pve-storage src/PVE/API2/Storage/Status.pm (download_url), src/PVE/Storage.pm (normalize_content_filename)
 */
export function readSource(
  url: string,
  content: DownloadContent,
  filename: string | undefined,
): Source {
  const parsed = readUrl(url);
  const fromUrl = lastSegment(parsed.pathname);
  const name = normalized(filename ?? fromUrl);
  const compression =
    content === "iso" ? (unpacks.exec(name) ?? unpacks.exec(fromUrl))?.[1] : undefined;
  const bare = content === "iso" ? name.replace(unpacks, "") : name;
  assertExtension(bare, content, fromUrl);
  const shown = `${parsed.origin}${parsed.pathname}${parsed.search === "" ? "" : "?…"}`;
  const base = { url: parsed.href, shown, filename: bare };
  return compression === undefined ? base : { ...base, compression: compression.toLowerCase() };
}

/** As publishers write it: alone, `sha256:…`, `SHA256 (file) = …`, or a line of SHA256SUMS. */
const checksumForms = [
  /^(?:(?<named>[a-z]+-?[0-9]+)\s*[:=]\s*)?(?<hex>[0-9a-f]+)$/i,
  /^(?<named>[a-z]+-?[0-9]+)\s*\(.+\)\s*=\s*(?<hex>[0-9a-f]+)$/i,
  /^(?<hex>[0-9a-f]{32,})\s+\*?\S.*$/i,
];

/**
 * The algorithm is told by the length where it is not given. The name of a file beside it does not matter: mirrors and links have
 * others. Throws `invalid_input`.
 */
export function readChecksum(
  given: string | undefined,
  wished: ChecksumAlgorithm | undefined,
): Checksum | undefined {
  if (given === undefined) {
    if (wished === undefined) return undefined;
    throw invalid("checksum", "checksum_algorithm goes with checksum.", "Give both, or neither.");
  }
  const form = checksumForms.find((one) => one.test(given.trim()));
  const parts = form?.exec(given.trim())?.groups;
  const value = parts?.["hex"];
  if (value === undefined) {
    throw invalid(
      "checksum",
      "checksum is not hexadecimal.",
      "Copy the one of this file as the publisher shows it.",
    );
  }
  const named = parts?.["named"]?.toLowerCase().replace("-", "");
  if (named !== undefined && wished !== undefined && named !== wished) {
    const differ = `checksum is of ${named}, checksum_algorithm is ${wished}.`;
    throw invalid("checksum", differ, "Give the checksum only, or the right algorithm.");
  }
  const algorithm = named ?? wished;
  const byLength = checksumAlgorithms.find((one) => hexDigits[one] === value.length);
  if (byLength === undefined || (algorithm ?? byLength) !== byLength) {
    const what = algorithm === undefined ? "No algorithm has" : `${algorithm} does not have`;
    const lengths = Object.entries(hexDigits).map(([one, digits]) => `${one} ${digits}`);
    throw invalid(
      "checksum",
      `${what} a checksum of ${value.length} digits.`,
      `Check that it is whole: ${lengths.join(", ")}.`,
    );
  }
  return { algorithm: byLength, value };
}

const hexDigits: Readonly<Record<ChecksumAlgorithm, number>> = {
  md5: 32,
  sha1: 40,
  sha224: 56,
  sha256: 64,
  sha384: 96,
  sha512: 128,
};

function readUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw invalid(
      "url",
      "url is not an http or https address.",
      "Give a whole URL, such as https://example.org/images/debian.iso.",
    );
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw invalid(
      "url",
      "url holds a user name or password; the task log on the host would keep it.",
      "Use an address that needs none.",
    );
  }
  parsed.hash = "";
  return parsed;
}

function lastSegment(pathname: string): string {
  const segment = pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return segment; // a percent sign that stands for itself
    throw error;
  }
}

export function normalized(name: string): string {
  return name
    .trim()
    .replace(/^.*[/\\]/su, "")
    .replace(/[^a-zA-Z0-9_.-]/gu, "_");
}

function assertExtension(name: string, content: DownloadContent, fromUrl: string): void {
  const foreign = packed.exec(fromUrl)?.[0];
  const stillPacked = content !== "vztmpl" && (packed.test(name) || foreign === ".xz");
  if (stillPacked || (content === "import" && foreign !== undefined)) {
    const can = content === "iso" ? "gz, lzo, zst and bz2" : "nothing of this content type";
    throw invalid(
      "url",
      `Proxmox cannot unpack ${foreign ?? "this file"} here: it unpacks ${can}.`,
      "Use the address of a file that is not compressed.",
    );
  }
  if (extensions[content].test(name)) return;
  const image = content === "import" && /\.img$/i.test(name);
  const hint = image
    ? `Give filename: "${name.replace(/img$/i, "qcow2")}" for a qcow2 image (most cloud images called .img are), or "….raw" for a raw one.`
    : `Give filename with the right ending (${wanted[content]}), or another content.`;
  throw invalid(
    "filename",
    `"${name}" does not end in ${wanted[content]}, as ${content} must.`,
    hint,
  );
}

/** PVE: pve-storage src/PVE/API2/Storage/Status.pm (download_url), filename */
const maxFilename = 255;

/** As much of the beginning as fits, with the ending that its content needs. */
export function shortened(name: string, max: number): string {
  const ending = /(?:\.tar)?\.[^.]+$/.exec(name)?.[0] ?? "";
  return `${name.slice(0, name.length - ending.length).slice(0, max - ending.length)}${ending}`;
}

/** Throws `invalid_input` for a name that is longer than PVE takes. */
export function assertLength(name: string): void {
  if (name.length <= maxFilename) return;
  throw invalid(
    "filename",
    `The name of the file would have ${name.length} characters, and Proxmox takes ${maxFilename}.`,
    `Give a shorter one as filename, such as "${shortened(name, 60)}".`,
  );
}

function invalid(argument: string, message: string, next: string): Problem {
  return new Problem("invalid_input", `${message} Nothing was sent.`, {
    next,
    facts: { argument },
  });
}

/** The name of an uploaded file as PVE will make it. PVE: pve-storage src/PVE/API2/Storage/Status.pm (upload), src/PVE/Storage.pm */
export function uploadName(given: string, content: DownloadContent): string {
  const name = normalized(given);
  if (extensions[content].test(name)) return name;
  const image = content === "import" && /\.img$/i.test(name);
  throw new Problem(
    "invalid_input",
    `"${name}" does not end in ${wanted[content]}, as ${content} must. Nothing was sent.`,
    {
      next: image
        ? `Give filename: "${name.replace(/img$/i, "qcow2")}" for a qcow2 image (most cloud images called .img are), or "….raw" for a raw one.`
        : "Give filename with the right ending, or another content; Proxmox unpacks nothing that is uploaded.",
      facts: { argument: "filename" },
    },
  );
}

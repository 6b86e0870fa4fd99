import { constants, type Stats } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { basename, isAbsolute, join, sep } from "node:path";
import { Problem } from "./problem.ts";
import { echoed } from "./text.ts";

/** The files that arguments may name: those below one directory and no others. */
export interface Files {
  /**
   * The text of a file. `argument` is what names it, for messages. Throws `invalid_input` for a path that leads out of the
   * directory (`..`, absolute, by a symbolic link), for what is no file or is too large, and `not_found`.
   */
  text(path: string, argument: string): Promise<string>;
  /** A file of any size, to be read piece by piece. Throws the same, but for the size. */
  source(path: string, argument: string): Promise<FileSource>;
}

/** A file as it was when it was named. */
export interface FileSource {
  /** Its last segment. */
  readonly name: string;
  readonly sizeBytes: number;
  /** From the beginning, in pieces. Throws `conflict` where it is not the same file any more, or not of the same size and time. */
  open(): AsyncIterable<Uint8Array>;
}

/** Keys, certificates, passwords: none of them is larger than 1 MiB. */
const maxTextBytes = 1024 * 1024;

/** A piece of a file: few system calls, little memory. */
const pieceBytes = 256 * 1024;

/** `directory` as it was given with `--files`; it is looked up anew each time, so it may be mounted later. */
export function filesBelow(directory: string): Files {
  const find = async (path: string, argument: string) => {
    if (leadsOut(path)) throw outside(path, argument);
    const [root, target] = await resolved(directory, path, argument);
    const base = root.endsWith(sep) ? root : `${root}${sep}`;
    if (!target.startsWith(base)) throw outside(path, argument);
    return target;
  };
  return {
    text: async (path, argument) => readText(await find(path, argument), path, argument),
    source: async (path, argument) => {
      const target = await find(path, argument);
      const known = await opened(target, path, argument, (_, stat) => Promise.resolve(stat));
      return {
        name: basename(target),
        sizeBytes: known.size,
        open: () => pieces(target, path, argument, known),
      };
    },
  };
}

/** Both kinds of slashes and drive letters count wherever the server runs. */
function leadsOut(path: string): boolean {
  const pieces = path.split(/[\\/]/);
  return (
    path.includes("\0") ||
    path.includes("\\") ||
    isAbsolute(path) ||
    /^[a-z]:/i.test(path) ||
    pieces.includes("..")
  );
}

async function resolved(
  directory: string,
  path: string,
  argument: string,
): Promise<readonly [root: string, target: string]> {
  try {
    const root = await realpath(directory);
    return [root, await realpath(join(root, path))];
  } catch (error) {
    throw unreadable(error, path, argument);
  }
}

function readText(target: string, path: string, argument: string): Promise<string> {
  return opened(target, path, argument, (file, stat) => {
    if (stat.size > maxTextBytes) throw refused(path, argument, "is larger than 1 MiB");
    return file.readFile("utf8");
  });
}

async function opened<T>(
  target: string,
  path: string,
  argument: string,
  use: (file: FileHandle, stat: Stats) => Promise<T>,
): Promise<T> {
  try {
    const file = await openPlainly(target);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw refused(path, argument, "is no file");
      return await use(file, stat);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof Problem ? error : unreadable(error, path, argument);
  }
}

/** What was resolved a moment ago must not have become a link meanwhile, and a pipe must not hold us up. */
function openPlainly(target: string): Promise<FileHandle> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  return open(target, flags);
}

/** Exactly the bytes of the file that is `known`: what is written to it meanwhile would tear it. */
async function* pieces(
  target: string,
  path: string,
  argument: string,
  known: Stats,
): AsyncGenerator<Uint8Array> {
  const file = await openPlainly(target).catch((error: unknown) => {
    throw unreadable(error, path, argument);
  });
  try {
    if (!isSame(await file.stat(), known)) throw changed(path, argument);
    for (let at = 0; at < known.size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, known.size - at));
      const { bytesRead } = await file
        .read(buffer, 0, buffer.length, at)
        .catch((error: unknown) => Promise.reject(unreadable(error, path, argument)));
      if (bytesRead === 0) throw changed(path, argument);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    if (!isSame(await file.stat(), known)) throw changed(path, argument);
  } finally {
    await file.close();
  }
}

function isSame(one: Stats, other: Stats): boolean {
  const facts = ({ dev, ino, size, mtimeMs }: Stats) => [dev, ino, size, mtimeMs].join();
  return facts(one) === facts(other);
}

function changed(path: string, argument: string): Problem {
  return new Problem("conflict", `${argument}: ${echoed(path, 200)} changed while it was read.`, {
    next: "Repeat the call when nobody writes to it any more.",
    facts: { argument },
  });
}

const relative = "Give the path of a file below that directory, relative to it, not what is in it.";

function outside(path: string, argument: string): Problem {
  return refused(path, argument, "is not below the directory of --files");
}

function refused(path: string, argument: string, what: string): Problem {
  return new Problem("invalid_input", `${argument}: ${echoed(path, 200)} ${what}.`, {
    next: relative,
    facts: { argument },
  });
}

function unreadable(error: unknown, path: string, argument: string): Problem {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  const missing = code === "ENOENT" || code === "ENOTDIR";
  return new Problem(
    missing ? "not_found" : "invalid_input",
    missing
      ? `${argument}: there is no file ${echoed(path, 200)} below the directory of --files.`
      : `${argument}: ${echoed(path, 200)} cannot be read (${code}).`,
    { next: relative, facts: { argument } },
  );
}

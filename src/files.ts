import { constants } from "node:fs";
import { open, realpath } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { Problem } from "./problem.ts";
import { oneLine } from "./text.ts";

/** The files that arguments may name: those below one directory and no others. */
export interface Files {
  /**
   * The text of a file. `argument` is what names it, for messages. Throws `invalid_input` for a path that leads out of the
   * directory (`..`, absolute, by a symbolic link), for what is no file or is too large, and `not_found`.
   */
  text(path: string, argument: string): Promise<string>;
}

/** Keys, certificates, passwords: none of them is larger than 1 MiB. */
const maxTextBytes = 1024 * 1024;

/** `directory` as it was given with `--files`; it is looked up anew each time, so it may be mounted later. */
export function filesBelow(directory: string): Files {
  return {
    text: async (path, argument) => {
      if (leadsOut(path)) throw outside(path, argument);
      const [root, target] = await resolved(directory, path, argument);
      const base = root.endsWith(sep) ? root : `${root}${sep}`;
      if (!target.startsWith(base)) throw outside(path, argument);
      return readText(target, path, argument);
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

async function readText(target: string, path: string, argument: string): Promise<string> {
  try {
    // What was resolved a moment ago must not have become a link meanwhile, and a pipe must not hold us up.
    const file = await open(
      target,
      constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
    );
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw refused(path, argument, "is no file");
      if (stat.size > maxTextBytes) throw refused(path, argument, "is larger than 1 MiB");
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof Problem ? error : unreadable(error, path, argument);
  }
}

function outside(path: string, argument: string): Problem {
  return refused(path, argument, "is not below the directory of --files");
}

function refused(path: string, argument: string, what: string): Problem {
  return new Problem("invalid_input", `${argument}: ${oneLine(path, 200)} ${what}.`, {
    next: "Give the path of a file below that directory, relative to it.",
    facts: { argument },
  });
}

function unreadable(error: unknown, path: string, argument: string): Problem {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  const missing = code === "ENOENT" || code === "ENOTDIR";
  return new Problem(
    missing ? "not_found" : "invalid_input",
    missing
      ? `${argument}: there is no file ${oneLine(path, 200)} below the directory of --files.`
      : `${argument}: ${oneLine(path, 200)} cannot be read (${code}).`,
    { next: "Give the path relative to that directory.", facts: { argument } },
  );
}

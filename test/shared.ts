import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const beside = fileURLToPath(new URL("../../shared", import.meta.url));

/** What some people have beside the repository (or where SHARED says): recordings of a real host, the published schema. */
export function shared(name: string): string | undefined {
  const file = join(process.env["SHARED"] ?? beside, name);
  return existsSync(file) ? file : undefined;
}

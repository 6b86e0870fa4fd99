import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import type { TestProject } from "vitest/node";
import { shared } from "../shared.ts";
import { again, type Exchange, folderVariable } from "./record.ts";

interface Checker {
  loadSchema(): unknown;
  checkExchange(schema: unknown, exchange: Exchange, how: { responses: boolean }): string[];
}

/** What breaks the published schema and is right all the same: the reason, and how it reads. */
const excused: readonly (readonly [reason: string, pattern: RegExp])[] = [
  [
    "a real host says so while a VM is being destroyed; the schema forgets it",
    /\/qemu\/\d+\/config: response: data\.lock: 'destroyed' is not one of/,
  ],
];
/** How many the whole test run has to show. */
const enough = 3_000;

/**
 * Before the tests: tells the workers where to write down what the product's client says and hears. After them: holds it all
 * against the published schema of Proxmox, which makes the run fail. Without that schema it only says so.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const file = shared("pve/check-requests.mjs");
  if (file === undefined) {
    return async () => say("not checked: the published schema does not lie beside the repository");
  }
  const folder = mkdtempSync(join(tmpdir(), "exchanges-"));
  process.env[folderVariable] = folder;
  const checker: Checker = await import(pathToFileURL(file).href);
  const wrong = { method: "GET", path: "/api2/json/nodes/pve1/qemus", body: "", contentType: "" };
  if (checker.checkExchange(checker.loadSchema(), wrong, { responses: false }).length === 0) {
    throw new Error("the checker of exchanges accepts what no Proxmox knows");
  }
  return async () => {
    const { seen, violations } = check(folder, checker);
    rmSync(folder, { recursive: true, force: true });
    say(`${seen} seen, ${violations.length} violations`);
    const { testFiles } = await project.globTestFiles();
    const { state, config } = project.vitest;
    const everything =
      config.testNamePattern === undefined && state.getTestModules().length >= testFiles.length;
    const few = everything && seen < enough ? [`only ${seen} exchanges, not ${enough}`] : [];
    fail([...violations, ...few]);
  };
}

function check(folder: string, { loadSchema, checkExchange }: Checker) {
  const schema = loadSchema();
  const violations = new Set<string>();
  let seen = 0;
  for (const name of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
      if (line === "") continue;
      seen++;
      if (line === again) continue;
      const exchange: Exchange = JSON.parse(line);
      const responses = exchange.status !== undefined;
      for (const error of checkExchange(schema, exchange, { responses })) {
        const text = `${exchange.method} ${exchange.path}: ${error}`;
        if (!excused.some(([, pattern]) => pattern.test(text)))
          violations.add(`${text}\n  ${line.slice(0, 600)}`);
      }
    }
  }
  return { seen, violations: [...violations] };
}

/** An error in a teardown is only printed; the exit code is ours to set. */
function fail(reasons: readonly string[]): void {
  if (reasons.length === 0) return;
  process.exitCode = 1;
  throw new Error(`exchanges that Proxmox would not have had:\n${reasons.slice(0, 20).join("\n")}`);
}

function say(text: string): void {
  process.stdout.write(`exchanges of the client, beside the published schema: ${text}\n`);
}

// What the checks on every runtime share: a simulated HTTPS host of their own, and how each runtime starts the server.
// Binaries: NODE24_BIN, DENO_BIN, BUN_BIN, else deno and bun from PATH. With --all a missing one is a failure.
import { fork, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Starts the host; `requested` answers what it has been asked so far. */
export async function startHost() {
  const host = fork(new URL("host.ts", import.meta.url), {
    execArgv: ["--import", "tsx"],
    cwd: root,
  });
  const reply = () => new Promise((resolve) => host.once("message", resolve));
  const requested = () => {
    const answer = reply();
    host.send("requests?");
    return answer;
  };
  return { ...(await reply()), requested, stop: () => host.disconnect() };
}

/** The built server on this Node, the sources on the others; `readable` is what Deno has to be told besides the host. */
export function runtimesFor(url, readable) {
  const main = "src/main.ts";
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const strips = major > 22 || (major === 22 && minor >= 18);
  const {
    NODE24_BIN = strips ? process.execPath : "",
    DENO_BIN = "deno",
    BUN_BIN = "bun",
  } = process.env;
  const argsFor = (host) => [
    ...["run", "--no-prompt", `--allow-net=${host}`, `--allow-read=${readable}`, "--allow-env"],
    main,
  ];
  return [
    {
      name: `node ${process.versions.node} dist`,
      bin: process.execPath,
      argsFor: () => ["dist/src/main.js"],
    },
    { name: "node source", bin: NODE24_BIN, argsFor: () => [main] },
    { name: "deno source", bin: DENO_BIN, argsFor },
    { name: "bun source", bin: BUN_BIN, argsFor: () => [main] },
  ].map((runtime) => ({ ...runtime, args: runtime.argsFor(new URL(url).host) }));
}

export function must(condition, what) {
  if (!condition) throw new Error(what);
}

let failures = 0;
let found = 0;

/** Runs `check` on each runtime that is there, and ends with a verdict as the process's code. */
export async function onEach(what, runtimes, check, { host, folder }) {
  try {
    for (const runtime of runtimes) if (isThere(runtime)) await check(runtime);
  } finally {
    host.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`${what}: ${verdict(runtimes.length)}\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}

export async function attempt(runtime, what, run) {
  const began = Date.now();
  try {
    const note = await run();
    report(runtime, what, undefined, `${note} (${Date.now() - began} ms)`);
  } catch (error) {
    report(runtime, what, error.message, "");
  }
}

function isThere(runtime) {
  const version = spawnSync(runtime.bin || "none", ["--version"], { encoding: "utf8" });
  if (version.status === 0) {
    found++;
    report(runtime, "found", undefined, version.stdout.split("\n")[0]);
    return true;
  }
  const failure = process.argv.includes("--all") ? "no such binary" : undefined;
  report(runtime, "found", failure, "skipped, not found");
  return false;
}

function report({ name }, what, failure, note) {
  if (failure !== undefined) failures++;
  process.stdout.write(
    `${failure === undefined ? "ok  " : "FAIL"} ${name.padEnd(20)} ${what.padEnd(28)} ${failure ?? note}\n`,
  );
}

/** What was not there was not tried, which nobody shall take for a success. */
function verdict(all) {
  if (failures > 0) return `${failures} failed`;
  if (found === all) return `passed on all ${found} runtimes`;
  return `passed on ${found} of ${all} runtimes; the others were not found`;
}

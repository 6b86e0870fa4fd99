// Uploads a file over HTTPS to a simulated host, by the built server on this Node and the sources on Node 24, Deno and Bun.
// Binaries: NODE24_BIN, DENO_BIN, BUN_BIN, else deno and bun from PATH. With --all a missing one is a failure.
import { fork, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sizeBytes = 96 * 1024 * 1024 + 5;
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const strips = major > 22 || (major === 22 && minor >= 18);
const {
  NODE24_BIN = strips ? process.execPath : "",
  DENO_BIN = "deno",
  BUN_BIN = "bun",
} = process.env;

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
const { url, fingerprint, tokenId, secret } = await reply();
const folder = mkdtempSync(join(tmpdir(), "upload-"));
writeFileSync(join(folder, "disc.iso"), Buffer.alloc(sizeBytes, "0123456789abcdef"));

const flags = ["--toolsets", "core,storage", "--files", folder];
const denoFlags = [`--allow-net=${new URL(url).host}`, `--allow-read=${folder}`, "--allow-env"];
const main = "src/main.ts";
const runtimes = [
  { name: `node ${process.versions.node} dist`, bin: process.execPath, args: ["dist/src/main.js"] },
  { name: "node source", bin: NODE24_BIN, args: [main] },
  { name: "deno source", bin: DENO_BIN, args: ["run", "--no-prompt", ...denoFlags, main] },
  { name: "bun source", bin: BUN_BIN, args: [main] },
];
let failures = 0;

try {
  for (const runtime of runtimes) await check(runtime);
} finally {
  host.disconnect();
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(failures === 0 ? "upload: all passed\n" : `upload: ${failures} failed\n`);
process.exitCode = failures === 0 ? 0 : 1;

async function check({ name, bin, args }) {
  const say = (word, text) => process.stdout.write(`${word} ${name.padEnd(20)} ${text}\n`);
  if (spawnSync(bin || "none", ["--version"]).status !== 0) {
    const wanted = process.argv.includes("--all");
    if (wanted) failures++;
    say(wanted ? "FAIL" : "ok  ", "skipped, no such binary");
    return;
  }
  const began = Date.now();
  try {
    const note = await upload(bin, [...args, ...flags], name.replaceAll(/\W/g, "-"));
    say("ok  ", `${note} (${Date.now() - began} ms)`);
  } catch (error) {
    failures++;
    say("FAIL", error.message);
  }
}

/** Sent once, found on the storage with its size, and not sent again. */
async function upload(command, args, name) {
  const transport = new StdioClientTransport({
    command,
    args,
    cwd: root,
    env: {
      PATH: process.env.PATH,
      PROXMOX_URL: url,
      PROXMOX_TOKEN_ID: tokenId,
      PROXMOX_TOKEN_SECRET: secret,
      PROXMOX_FINGERPRINT: fingerprint,
    },
    stderr: "ignore",
  });
  const client = new Client({ name: "upload", version: "1" });
  await client.connect(transport);
  try {
    const before = (await requested()).length;
    let steps = 0;
    const order = { storage: "nfs-shared", file: "disc.iso", content: "iso" };
    const call = async () => {
      const params = {
        name: "upload_storage",
        arguments: { ...order, filename: `${name}.iso` },
      };
      const result = await client.callTool(params, undefined, { onprogress: () => steps++ });
      must(!result.isError, JSON.stringify(result.content));
      return result.structuredContent;
    };
    const first = await call();
    must(first.changed && first.task.state === "ok", `answered ${JSON.stringify(first)}`);
    must(steps > 2, "no progress was notified");
    const again = await call();
    must(again.changed === false, "the same file was sent again");
    const sent = (await requested()).slice(before).filter((line) => line.startsWith("POST"));
    must(sent.length === 1, `${sent.length} requests were sent`);
    const peak = peakMib(transport.pid);
    must(peak === undefined || peak < 400, `${peak} MiB resident at the peak`);
    return `${sizeBytes} bytes in one request, ${steps} progress notifications, ${peak ?? "?"} MiB at the peak`;
  } finally {
    await client.close();
  }
}

/** Where Linux tells. */
function peakMib(pid) {
  const { stdout = "" } = spawnSync("cat", [`/proc/${pid}/status`], { encoding: "utf8" });
  const kib = /VmHWM:\s+(\d+)/.exec(stdout)?.[1];
  return kib === undefined ? undefined : Math.round(Number(kib) / 1024);
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

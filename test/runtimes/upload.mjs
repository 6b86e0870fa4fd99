// Uploads a file over HTTPS to a simulated host, by the built server on this Node and the sources on Node 24, Deno and Bun.
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { attempt, must, onEach, root, runtimesFor, startHost } from "./kit.mjs";

const sizeBytes = 96 * 1024 * 1024 + 5;
const host = await startHost();
const { url, fingerprint, tokenId, secret, requested } = host;
const folder = mkdtempSync(join(tmpdir(), "upload-"));
writeFileSync(join(folder, "disc.iso"), Buffer.alloc(sizeBytes, "0123456789abcdef"));
const flags = ["--toolsets", "core,storage", "--files", folder];

await onEach("upload", runtimesFor(url, folder), check, { host, folder });

async function check(runtime) {
  const { bin, args, name } = runtime;
  await attempt(runtime, "sent once", () =>
    upload(bin, [...args, ...flags], name.replaceAll(/\W/g, "-")),
  );
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

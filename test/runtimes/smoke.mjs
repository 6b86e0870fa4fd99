// The built server on this Node, and the sources on Node 24, Deno and Bun: each over stdio against a simulated HTTPS host.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { replacement } from "./certificates.mjs";
import { attempt, must, onEach, root, runtimesFor, startHost } from "./kit.mjs";

const host = await startHost();
const { url, cert, fingerprint, tokenId, secret, requested } = host;
const folder = mkdtempSync(join(tmpdir(), "smoke-"));
const caFile = join(folder, "ca.pem");
writeFileSync(caFile, cert);
const token = { PROXMOX_URL: url, PROXMOX_TOKEN_ID: tokenId, PROXMOX_TOKEN_SECRET: secret };
const wrong = fingerprint.replaceAll(/[0-9A-F]/g, (digit) => (digit === "A" ? "B" : "A"));

await onEach("smoke", runtimesFor(url, caFile), check, { host, folder });

async function check(runtime) {
  await attempt(runtime, "CA file: session", () => session(runtime, { PROXMOX_CA_FILE: caFile }));
  await attempt(runtime, "fingerprint: session", () =>
    session(runtime, { PROXMOX_FINGERPRINT: fingerprint }),
  );
  await attempt(runtime, "wrong fingerprint: refused", () =>
    refused(runtime, { PROXMOX_FINGERPRINT: wrong }, [fingerprint, wrong]),
  );
  await attempt(runtime, "no trust given: refused", () =>
    refused(runtime, {}, [`PROXMOX_FINGERPRINT=${fingerprint}`]),
  );
  await attempt(runtime, "stdout and end of stdin", () =>
    streams(runtime, { PROXMOX_CA_FILE: caFile }),
  );
  await attempt(runtime, "its certificate replaced", () => replacement(runtime));
}

/** Handshake, list, a lookup twice, a clone with progress, an error. */
async function session(runtime, trust) {
  const began = await sent();
  const transport = new StdioClientTransport({
    command: runtime.bin,
    args: runtime.args,
    cwd: root,
    env: { PATH: process.env.PATH, ...token, ...trust },
    stderr: "ignore",
  });
  const client = new Client({ name: "smoke", version: "1" });
  await client.connect(transport);
  try {
    must(client.getServerVersion()?.name === "mcp-server-proxmox", "another server answers");
    const { tools } = await client.listTools();
    must(
      tools.some(({ name }) => name === "get_vm"),
      "get_vm is not listed",
    );
    const costs = [await lookup(client, began), await lookup(client)];
    must(costs.join() === "2,0", `two lookups cost ${costs.join(" and ")} requests`);
    const steps = await clone(client);
    const missing = await client.callTool({ name: "get_vm", arguments: { vm: "no-such-vm" } });
    must(missing.isError && missing._meta?.error?.kind === "not_found", "no not_found");
    return `${tools.length} tools, lookups 2 and 0 requests, clone with ${steps} progress notifications`;
  } finally {
    await client.close();
  }
}

/** The look at the host before the start tells nothing of lookups. */
async function sent() {
  return (await requested()).filter((path) => path !== "GET /access/domains").length;
}

/** What it costs, since `before`: the rows are asked for as soon as the client is there. */
async function lookup(client, since) {
  const before = since ?? (await sent());
  const result = await client.callTool({ name: "get_vm", arguments: { vm: "web-1" } });
  must(result.structuredContent?.vmid === 101, `get_vm answered ${JSON.stringify(result.content)}`);
  return (await sent()) - before;
}

/** Takes it away again: the next runtime works on the same cluster. */
async function clone(client) {
  let steps = 0;
  const guest = "smoke-1";
  const call = async (name, args) => {
    const onprogress = () => steps++;
    const result = await client.callTool({ name, arguments: args }, undefined, { onprogress });
    must(!result.isError, `${name}: ${JSON.stringify(result.content)}`);
    return result.structuredContent;
  };
  const { vmid } = await call("clone_vm", { vm: "web-1", name: guest, full: true });
  must(steps > 0, "no progress was notified");
  const seen = steps;
  await call("delete_guest", { guest: vmid, confirm: guest });
  return seen;
}

/** Not trusted: no start, both reasons on stderr, nothing on stdout and nothing sent to the host. */
async function refused(runtime, trust, words) {
  const before = (await requested()).length;
  const { code, stdout, stderr } = await run(runtime, trust, "");
  must(code !== 0, `ended with code ${code}`);
  must(stdout === "", `stdout has ${stdout}`);
  for (const word of words) must(stderr.includes(word), `stderr lacks ${word}: ${stderr}`);
  must(!stderr.includes(secret), "the secret stands on stderr");
  must((await requested()).length === before, "something was sent");
  return `code ${code}, nothing sent`;
}

/** Each line of stdout is a message of the protocol, and the end of stdin ends the process. */
async function streams(runtime, trust) {
  const hello = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "smoke", version: "1" },
  };
  const messages = [
    { id: 1, method: "initialize", params: hello },
    { method: "notifications/initialized" },
    { id: 2, method: "tools/call", params: { name: "get_vm", arguments: { vm: "web-1" } } },
  ];
  const input = messages
    .map((message) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
    .join("");
  const { code, stdout, stderr } = await run(runtime, trust, input, 2);
  const ids = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).id);
  must(ids.join() === "1,2", `answers ${ids.join()}`);
  must(code === 0, `ended with code ${code}`);
  must(!stderr.includes(secret), "the secret stands on stderr");
  return "protocol only, code 0";
}

/** Runs the server to its end; stdin is closed once `answers` lines have come. */
function run({ bin, args }, trust, input, answers = 0) {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, HOME: folder, ...token, ...trust };
    const child = spawn(bin, args, { cwd: root, env });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`still running after 20 s: ${stderr}`));
    }, 20_000);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
      if (answers > 0 && stdout.split("\n").length > answers) child.stdin.end();
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdin.on("error", () => undefined); // a server that refuses to start does not read
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
    if (input !== "") child.stdin.write(input);
  });
}

import { readFileSync, statSync } from "node:fs";
import process from "node:process";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";
import { assemble } from "./assembly.ts";
import { systemClock } from "./clock.ts";
import { type Config, readConfig } from "./config.ts";
import { openConnection } from "./connections.ts";
import type { Credentials } from "./credentials.ts";
import { usage } from "./docs.ts";
import { filesBelow } from "./files.ts";
import { type Authenticator, apiToken } from "./http/auth.ts";
import { ticketLogin } from "./http/ticket.ts";
import { undiciTransport } from "./http/undici-transport.ts";
import { createLog } from "./log.ts";
import { createSdkServer } from "./mcp/sdk-v1.ts";
import { serveStdio } from "./mcp/stdio.ts";
import { isProblem } from "./problem.ts";
import { Call } from "./proxmox/api/call.ts";
import type { ProxmoxClient } from "./proxmox/client.ts";
import { adminToken } from "./simulator/demo-credentials.ts";
import { Simulator } from "./simulator/simulator.ts";
import { followedBy } from "./text.ts";
import { version } from "./version.ts";

/** How long the first look at the host may hold up the start: an unreachable one must not. */
const probeMs = 2_000;

/** The only place where everything is put together: config → connection → tools → stdio. What stops it is told, and ends the process. */
export async function serve(): Promise<void> {
  try {
    await start();
  } catch (error) {
    if (!isProblem(error)) throw error;
    process.stderr.write(`mcp-server-proxmox: ${followedBy(error.message, error.next)}\n`);
    process.exitCode = 1;
  }
}

async function start(): Promise<void> {
  const config = readConfig({
    env: process.env,
    argv: process.argv.slice(2),
    readFile: (path) => readFileSync(path, "utf8"),
    isDirectory: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
    toolsets: Object.keys(toolsets),
  });
  // Both are asked for by a person at a terminal; the protocol has not begun.
  if (config.mode !== "serve") {
    process.stdout.write(config.mode === "version" ? `${version}\n` : usage(toolsets));
    return;
  }
  const log = createLog({
    write: (line) => process.stderr.write(line),
    secrets: config.secrets,
    level: "info",
  });
  for (const warning of config.warnings) log.warn("config", { warning });
  const proxmox = connect(config);
  try {
    await probe(proxmox);
  } catch (error) {
    await proxmox.close();
    throw error;
  }
  const server = assemble({
    proxmox,
    tools: config.toolsets.flatMap((name) => toolsets[name] ?? []),
    instructions,
    clock: systemClock,
    log,
    secrets: config.secrets,
    readOnly: config.readOnly,
    warmUp: true,
    ...(config.files !== undefined && { files: filesBelow(config.files) }),
  });
  const sdk = createSdkServer(server, { name: "mcp-server-proxmox", version }, log);
  await serveStdio({ server: sdk, log, close: () => proxmox.close() });
}

function connect({ connection, ages }: Config): ProxmoxClient {
  if (!connection) {
    const simulator = new Simulator({ clock: systemClock, logCapacity: 1_000 });
    const auth = apiToken({ id: adminToken.tokenId, secret: adminToken.secret });
    const hosts = [{ name: "embedded demo cluster", transport: simulator }];
    return openConnection({ hosts, auth, clock: systemClock, ...(ages && { ages }) });
  }
  const { urls, credentials, tls } = connection;
  const hosts = urls.map((url) => ({
    name: new URL(url).host,
    transport: undiciTransport({ url, tls }),
  }));
  const auth = authenticator(credentials);
  return openConnection({ hosts, auth, clock: systemClock, ...(ages && { ages }) });
}

function authenticator(credentials: Credentials): Authenticator {
  if (credentials.kind === "token") return apiToken(credentials);
  const { username, password } = credentials;
  return ticketLogin({ username, password, clock: systemClock });
}

/**
 * A host whose certificate is not trusted stops the start, with its fingerprint ready to paste. Anything else is told by the
 * calls that meet it, in words that an agent can pass on. GET /access/domains is answered to anyone.
 */
async function probe(proxmox: ProxmoxClient): Promise<void> {
  const patience = new AbortController();
  const giveUp = setTimeout(() => patience.abort(), probeMs);
  try {
    await proxmox.cluster.reach(new Call({ signal: patience.signal }));
  } catch (error) {
    if (isProblem(error, "unreachable") && !error.retryable) throw error;
  } finally {
    clearTimeout(giveUp);
  }
}

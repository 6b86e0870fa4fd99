import process from "node:process";
import * as z from "zod";
import { assemble } from "../src/assembly.ts";
import { systemClock } from "../src/clock.ts";
import { openConnection } from "../src/connections.ts";
import { apiToken } from "../src/http/auth.ts";
import { createLog } from "../src/log.ts";
import { createSdkServer } from "../src/mcp/sdk-v1.ts";
import { serveStdio } from "../src/mcp/stdio.ts";
import { adminToken } from "../src/simulator/demo-credentials.ts";
import { Simulator } from "../src/simulator/simulator.ts";
import { defineTool } from "../src/tool.ts";
import { version } from "../src/version.ts";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";

/** What a call costs that does nothing at all. */
const empty = defineTool({
  name: "empty",
  description: "Does nothing and answers nothing.",
  effect: "read",
  input: z.object({}),
  output: z.object({}),
  run: () => Promise.resolve({}),
  show: () => "nothing",
});

const log = createLog({ write: (line) => process.stderr.write(line), secrets: [], level: "warn" });
const proxmox = openConnection({
  hosts: [{ name: "embedded demo cluster", transport: new Simulator({ clock: systemClock }) }],
  auth: apiToken({ id: adminToken.tokenId, secret: adminToken.secret }),
  clock: systemClock,
});
const tools = [...(toolsets["core"] ?? []), empty];
const server = assemble({
  proxmox,
  tools,
  instructions,
  clock: systemClock,
  log,
  secrets: [adminToken.secret],
});
await serveStdio({
  server: createSdkServer(server, { name: "mcp-server-proxmox", version }, log),
  log,
  close: () => proxmox.close(),
});

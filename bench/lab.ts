import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { assemble } from "../src/assembly.ts";
import type { Clock } from "../src/clock.ts";
import { openConnection } from "../src/connections.ts";
import { apiToken } from "../src/http/auth.ts";
import type { Transport } from "../src/http/transport.ts";
import { createLog } from "../src/log.ts";
import { createSdkServer } from "../src/mcp/sdk-v1.ts";
import { VirtualClock } from "../src/simulator/clock.ts";
import { adminToken } from "../src/simulator/demo-credentials.ts";
import { Simulator } from "../src/simulator/simulator.ts";
import type { World } from "../src/simulator/world.ts";
import { version } from "../src/version.ts";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";

export type Arguments = Readonly<Record<string, unknown>>;

export interface Answer {
  /** Empty for a success. */
  readonly kind: string;
  readonly data: Arguments;
}

export interface Wire {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly token?: typeof adminToken;
}

/** The whole server over this wire, spoken to by a real MCP client in the same process. */
export async function serve({ transport, clock, token = adminToken }: Wire) {
  const log = createLog({
    write: (line) => process.stderr.write(line),
    secrets: [token.secret],
    level: "error",
  });
  const proxmox = openConnection({
    hosts: [{ name: "simulator", transport }],
    auth: apiToken({ id: token.tokenId, secret: token.secret }),
    clock,
    random: () => 0.5,
  });
  const tools = toolsets["core"] ?? [];
  const server = assemble({ proxmox, tools, instructions, clock, log, secrets: [token.secret] });
  const sdk = createSdkServer(server, { name: "mcp-server-proxmox", version }, log);
  const client = new Client({ name: "bench", version });
  const [near, far] = InMemoryTransport.createLinkedPair();
  await Promise.all([sdk.connect(far), client.connect(near)]);
  const call = async (name: string, args: Arguments = {}): Promise<Answer> => {
    const result = await client.callTool({ name, arguments: { ...args } });
    const { error } = (result["_meta"] ?? {}) as { error?: { kind: string } };
    return { kind: error?.kind ?? "", data: (result["structuredContent"] ?? {}) as Arguments };
  };
  const close = async () => {
    await client.close();
    await proxmox.close();
  };
  return { call, close, proxmox };
}

export interface LabOptions {
  readonly world?: (now: number) => World;
  readonly token?: typeof adminToken;
}

/** The same on a clock that jumps, where only requests count. */
export async function lab({ world, token }: LabOptions = {}) {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, ...(world && { world: world(clock.now()) }) });
  const server = await serve({ transport: simulator, clock, ...(token && { token }) });
  await clock.advance(15_000); // until the rows of the newest guests have their names
  const call = (name: string, args: Arguments = {}) => clock.run(server.call(name, args));
  /** How many requests the cluster has seen meanwhile. */
  const cost = async (work: () => Promise<unknown>): Promise<number> => {
    const mark = simulator.log.mark();
    await work();
    return simulator.log.since(mark).length;
  };
  return { ...server, clock, simulator, call, begin: server.call, cost };
}

export type Lab = Awaited<ReturnType<typeof lab>>;

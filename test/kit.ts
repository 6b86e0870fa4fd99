import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import type { Progress } from "@modelcontextprotocol/sdk/types.js";
import { onTestFinished } from "vitest";
import { assemble } from "../src/assembly.ts";
import { readConfig } from "../src/config.ts";
import { openConnection } from "../src/connections.ts";
import type { Files } from "../src/files.ts";
import { apiToken } from "../src/http/auth.ts";
import { ticketLogin } from "../src/http/ticket.ts";
import type { Transport } from "../src/http/transport.ts";
import { createLog } from "../src/log.ts";
import { createSdkServer } from "../src/mcp/sdk-v1.ts";
import { type Ages, defaultAges } from "../src/proxmox/api/freshness.ts";
import { VirtualClock } from "../src/simulator/clock.ts";
import { adminToken } from "../src/simulator/demo-credentials.ts";
import { Simulator, type SimulatorOptions } from "../src/simulator/simulator.ts";
import type { Guest, World } from "../src/simulator/world.ts";
import type { Tool } from "../src/tool.ts";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";
import { recording } from "./exchanges/record.ts";
import { stillFiles } from "./still-files.ts";

/** Every tool of every toolset. */
export const tools: readonly Tool[] = Object.values(toolsets).flat();

export interface LabOptions extends Partial<Omit<SimulatorOptions, "clock">> {
  readonly token?: { readonly tokenId: string; readonly secret: string };
  /** User and password instead of a token. */
  readonly login?: { readonly username: string; readonly password: string };
  readonly readOnly?: boolean;
  readonly files?: Files;
  /** Bound of the cache in bytes. */
  readonly cacheBytes?: number;
  /** What `--ages` was given. */
  readonly ages?: string;
  readonly tools?: readonly Tool[];
  /** Whether the first client's arrival costs a request; not so unless asked, as figures are counted here. */
  readonly warmUp?: boolean;
  /** The wire, where it is not the simulator in this process: an HTTPS transport, or one that meddles. */
  readonly wire?: (simulator: Simulator, clock: VirtualClock) => Promise<Transport> | Transport;
  /** The test wants to see Proxmox refuse parameters: what it answers 400 need not fit the published schema. */
  readonly wrongOnPurpose?: boolean;
  /** Lets this much time pass first, so that every guest of the demo cluster has its name in its row. Default 15 s. */
  readonly settleMs?: number;
}

/** An answer as a client gets it. */
export interface Answer {
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly isError: boolean;
  /** The kind of the error, `""` for none. */
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface CallSettings {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * The whole server over a simulated cluster and a clock that stands still, spoken to by a real MCP client. It is closed when the
 * test is over.
 */
export async function lab(options: LabOptions = {}): Promise<Lab> {
  const opened = await openLab(options);
  onTestFinished(opened.close);
  return opened;
}

/** One that many tests share, or of which one test needs very many: who opens it closes it. */
export async function openLab(options: LabOptions = {}) {
  const {
    token = adminToken,
    login,
    readOnly = false,
    files,
    settleMs = 15_000,
    tools: served = toolsets["core"] ?? [],
    warmUp = false,
    wire,
    wrongOnPurpose,
    cacheBytes,
    ages,
    ...world
  } = options;
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, ...world });
  const transport = wire ? await wire(simulator, clock) : simulator;
  const watched = recording(transport, simulator, { wrongOnPurpose });
  const secrets = [login?.password ?? token.secret];
  const logged: string[] = [];
  const log = createLog({
    write: (line) => logged.push(line),
    secrets,
    level: "debug",
  });
  const proxmox = openConnection({
    hosts: [{ name: "simulator", transport: watched }],
    auth: login
      ? ticketLogin({ ...login, clock })
      : apiToken({ id: token.tokenId, secret: token.secret }),
    clock,
    random: () => 0.5,
    ...(cacheBytes !== undefined && { cacheBytes }),
    ...(ages !== undefined && { ages: agesOf(ages) }),
  });
  const server = assemble({
    proxmox,
    tools: served,
    instructions,
    clock,
    log,
    secrets,
    readOnly,
    warmUp,
    ...(files && { files: stillFiles(files, clock) }),
  });
  const sdk = createSdkServer(server, { name: "mcp-server-proxmox", version: "0.0.0" }, log);
  const client = new Client({ name: "test", version: "0.0.0" });
  const [clientSide, serverSide] = InMemoryTransport.createLinkedPair();
  await Promise.all([sdk.connect(serverSide), client.connect(clientSide)]);
  await clock.advance(settleMs);

  /** Calls without moving the clock: for what must be answered without waiting. */
  const begin = async (
    name: string,
    args: Record<string, unknown> = {},
    { signal, onProgress }: CallSettings = {},
  ): Promise<Answer> => {
    const result = await client.callTool({ name, arguments: args }, undefined, {
      timeout: 2 ** 31 - 1,
      ...(signal && { signal }),
      ...(onProgress && { onprogress: onProgress }),
    });
    return readAnswer(result);
  };
  /** Calls and lets time pass until the answer is there. */
  const call = (name: string, args: Record<string, unknown> = {}, settings: CallSettings = {}) =>
    clock.run(begin(name, args, settings));
  /** Calls, and tells beside the answer which requests were made that are no reads. */
  const act = async (name: string, args: Record<string, unknown> = {}) => {
    const mark = simulator.log.mark();
    const answer = await call(name, args);
    return { ...answer, sent: simulator.log.changes(mark) };
  };
  /** What a call costs in requests that the cluster has seen. */
  const cost = async (name: string, args: Record<string, unknown> = {}): Promise<number> => {
    const mark = simulator.log.mark();
    await call(name, args);
    return simulator.log.since(mark).length;
  };
  const close = async () => {
    await client.close();
    await proxmox.close();
  };
  return { clock, simulator, proxmox, server, client, logged, begin, call, act, cost, close };
}

/** As the executable reads it. */
function agesOf(raw: string): Ages {
  const { ages } = readConfig({ env: {}, argv: ["--demo", "--ages", raw], readFile: () => "" });
  return ages ?? defaultAges;
}

export type Lab = Awaited<ReturnType<typeof openLab>>;

function readAnswer(result: Awaited<ReturnType<Client["callTool"]>>): Answer {
  const content = result["content"] as readonly { type: string; text: string }[];
  const meta = (result["_meta"] ?? {}) as Record<string, unknown>;
  const error = (meta["error"] ?? {}) as { kind?: string; facts?: Record<string, unknown> };
  return {
    text: content.map((part) => part.text).join("\n"),
    data: (result["structuredContent"] ?? {}) as Record<string, unknown>,
    isError: result["isError"] === true,
    kind: error.kind ?? "",
    facts: error.facts ?? {},
    meta,
  };
}

/** The simulated guest itself, to look at what a call has made of it. */
export function guestOf({ guests }: World, vmid: number): Guest {
  const found = guests.get(vmid);
  if (!found) throw new Error(`no guest ${vmid}`);
  return found;
}

/** A disk image that a VM can be made of, as a finished download leaves it. */
export function addImage({ simulator }: Lab, node: string, volid: string): void {
  const file = {
    content: "import",
    format: "qcow2",
    sizeBytes: 400 * 1024 ** 2,
    ctime: 0,
  } as const;
  simulator.world.volumes.set(`${node}/${volid}`, { ...file, volid, node });
}

#!/usr/bin/env node
import process from "node:process";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import type { Progress } from "@modelcontextprotocol/sdk/types.js";
import { toolsets } from "../tools/index.ts";
import { instructions } from "../tools/instructions.ts";
import { assemble } from "./assembly.ts";
import { openConnection } from "./connections.ts";
import { apiToken } from "./http/auth.ts";
import { createLog } from "./log.ts";
import { createSdkServer } from "./mcp/sdk-v1.ts";
import { VirtualClock } from "./simulator/clock.ts";
import { adminToken } from "./simulator/demo-credentials.ts";
import type { LoggedRequest } from "./simulator/request-log.ts";
import { Simulator } from "./simulator/simulator.ts";
import { type Column, count, table } from "./text.ts";
import { version } from "./version.ts";

type Arguments = Readonly<Record<string, unknown>>;

/** One call of the agent and what must come of it: a demo that tells something else ends with code 1. */
interface Step {
  readonly tool: string;
  readonly args: Arguments;
  /** The kind of the error that belongs here; none for a success. */
  readonly ends?: string;
  /** Lines of the answer to show. */
  readonly lines?: number;
}

interface Answer {
  readonly text: string;
  readonly kind: string;
  readonly data: Arguments;
}

const width = 118;
const tty = process.stdout.isTTY === true;
const colours = tty && !process.env["NO_COLOR"];
const paint = (code: number) => (text: string) =>
  colours ? `\u001b[${code}m${text}\u001b[0m` : text;
const bold = paint(1);
const dim = paint(2);
const red = paint(31);
const green = paint(32);
const cyan = paint(36);

/** What a lookup costs where nothing is remembered: the list to find the guest, its status, its configuration. */
const bareLookup = 3;

process.stdout.on("error", () => process.exit(0)); // whoever reads has seen enough
const theatre = await open();
await play(theatre);
await theatre.close();

/** The whole server over the embedded cluster, with a clock that jumps from event to event, spoken to by a real MCP client. */
async function open() {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock });
  const log = createLog({
    write: (line) => process.stderr.write(line),
    secrets: [],
    level: "warn",
  });
  const proxmox = openConnection({
    hosts: [{ name: "embedded demo cluster", transport: simulator }],
    auth: apiToken({ id: adminToken.tokenId, secret: adminToken.secret }),
    clock,
    random: () => 0.5,
  });
  const tools = toolsets["core"] ?? [];
  const server = assemble({ proxmox, tools, instructions, clock, log, secrets: [] });
  const sdk = createSdkServer(server, { name: "mcp-server-proxmox", version }, log);
  const client = new Client({ name: "demo", version });
  const [near, far] = InMemoryTransport.createLinkedPair();
  await Promise.all([sdk.connect(far), client.connect(near)]);
  await clock.advance(15_000); // until the rows of the newest guests have their names
  const close = async () => {
    await client.close();
    await proxmox.close();
  };
  return {
    clock,
    simulator,
    client,
    close,
    account: { looks: { sent: 0, bare: 0 }, changes: { sent: 0, bare: 0 } },
  };
}

type Theatre = Awaited<ReturnType<typeof open>>;

async function play(show: Theatre): Promise<void> {
  say(bold("An agent at work on the embedded Proxmox cluster"));
  say(
    "Real MCP client and server, simulated cluster; its clock jumps, so that minutes take a second.",
  );
  say("The requests are counted in the cluster's own request log.");
  await looking(show);
  await changing(show);
  await refusing(show);
  await deleting(show);
  chapter("Many at once, and many in a row");
  await crowd(show);
  await minute(show);
  summary(show);
}

async function looking(show: Theatre): Promise<void> {
  chapter("Looking: by name, without asking for a node");
  await ask(show, { tool: "get_vm", args: { vm: "web-1" } });
  await ask(show, { tool: "get_vm", args: { vm: "web-1" }, lines: 1 });
  await ask(show, { tool: "get_vm", args: { vm: "web-2" }, lines: 1 });
  await ask(show, { tool: "list_guests", args: { tag: "prod", sort: "cpu", limit: 5 }, lines: 7 });
  await ask(show, { tool: "get_vm", args: { vm: "wbe-1" }, ends: "not_found" });
  await ask(show, { tool: "get_vm", args: { vm: "web-1", max_age_s: 0 }, lines: 1 });
}

async function changing(show: Theatre): Promise<void> {
  chapter("Changing: a full clone, followed to its end");
  await ask(show, { tool: "clone_vm", args: { vm: "web-1", name: "web-4", full: true } });
  await ask(show, { tool: "start_guest", args: { guest: "web-4" } });
  await ask(show, { tool: "get_vm", args: { vm: "web-4" }, lines: 2 });
}

async function refusing(show: Theatre): Promise<void> {
  chapter("Refusing: the guest that was meant, or none");
  await ask(show, { tool: "get_vm", args: { vm: 302 }, lines: 1 });
  show.simulator.outside.retake(302, { name: "payroll" });
  narrate("Another administrator destroys VM 302 and gives its number to a new VM, payroll.");
  await ask(show, { tool: "start_guest", args: { guest: 302 }, ends: "identity_changed" });
  await ask(show, { tool: "start_guest", args: { guest: "sandbox" }, ends: "ambiguous" });
}

async function deleting(show: Theatre): Promise<void> {
  chapter("Deleting: only what is confirmed, and gone at once");
  const target = { guest: "web-4" };
  await ask(show, { tool: "stop_guest", args: { ...target, mode: "stop" } });
  await ask(show, { tool: "delete_guest", args: target, ends: "confirmation_required" });
  narrate("The model itself can give that argument: a client should ask its user before.");
  await ask(show, { tool: "delete_guest", args: { ...target, confirm: "web-4" } });
  await ask(show, { tool: "get_vm", args: { vm: "web-4" }, ends: "not_found" });
}

/** Fifty equal lookups at the same time, with nothing fresh in memory. */
async function crowd(show: Theatre): Promise<void> {
  await show.clock.advance(5 * 60_000);
  narrate("Five minutes later: nothing in memory is fresh enough any more.");
  const lookups = Array.from({ length: 50 }, () =>
    call(show, { tool: "get_vm", args: { vm: "db-1" } }),
  );
  say(`\n${cyan("agents")} 50 × get_vm {vm: "db-1"} at the same time`);
  const mark = show.simulator.log.mark();
  const answers = await show.clock.run(Promise.all(lookups));
  for (const answer of answers) judge(answer, "");
  settle(show, show.simulator.log.since(mark), 50 * bareLookup);
}

/** A hundred lookups over twenty VMs, spread over a minute. */
async function minute(show: Theatre): Promise<void> {
  const args = { type: "qemu", status: "running", limit: 100 };
  const { data } = await ask(show, { tool: "list_guests", args, lines: 1 });
  const vmids = (data["guests"] as { readonly vmid: number }[])
    .slice(0, 20)
    .map(({ vmid }) => vmid);
  say(`\n${cyan("agent")} 100 × get_vm, over ${vmids.length} VMs in turn, one every 0.6 s`);
  const mark = show.simulator.log.mark();
  for (let turn = 0; turn < 100; turn++) {
    const step = { tool: "get_vm", args: { vm: vmids[turn % vmids.length] } };
    judge(await show.clock.run(call(show, step)), "");
    await show.clock.advance(600);
  }
  settle(show, show.simulator.log.since(mark), 100 * bareLookup);
}

/** One call, half a second after the last, printed: what was asked, what was answered, what it cost. */
async function ask(show: Theatre, step: Step): Promise<Answer> {
  const { tool, args, ends = "", lines = 8 } = step;
  await show.clock.advance(500);
  say(`\n${cyan("agent")} ${bold(tool)} ${written(args)}`);
  const mark = show.simulator.log.mark();
  const answer = await show.clock.run(call(show, step));
  const paintAnswer = answer.kind === "" ? (text: string) => text : red;
  for (const line of shortened(answer.text, lines)) say(`      ${paintAnswer(line)}`);
  judge(answer, ends);
  const bare = tool === "get_vm" && answer.kind === "" ? bareLookup : 1;
  settle(show, show.simulator.log.since(mark), /^(?:get|list)_/u.test(tool) ? bare : undefined);
  return answer;
}

async function call(show: Theatre, { tool, args }: Step): Promise<Answer> {
  const bar = progressBar(show.clock);
  const result = await show.client.callTool({ name: tool, arguments: { ...args } }, undefined, {
    timeout: 2 ** 31 - 1,
    onprogress: bar,
  });
  const content = result["content"] as readonly { readonly text: string }[];
  const { error } = (result["_meta"] ?? {}) as { readonly error?: { readonly kind: string } };
  const data = (result["structuredContent"] ?? {}) as Arguments;
  return { text: content.map(({ text }) => text).join("\n"), kind: error?.kind ?? "", data };
}

/** Progress as the server notifies it; on a terminal it moves in place, slowly enough to be seen. */
function progressBar(clock: VirtualClock): (progress: Progress) => void {
  return ({ progress, total, message = "" }) => {
    if (total === undefined) return;
    const filled = Math.round((progress / total) * 30);
    const bar = `${"#".repeat(filled)}${".".repeat(30 - filled)}`;
    const percent = String(Math.round((progress / total) * 100)).padStart(3);
    const line = `      [${bar}] ${percent} % ${message}`.slice(0, width);
    if (!tty) return say(line);
    process.stdout.write(`\r\u001b[K${green(line)}${progress >= total ? "\n" : ""}`);
    setTimeout(clock.hold(), 80);
  };
}

/** `bare`: what a look costs where nothing is remembered; absent for a change, which reads past the memory anyway. */
function settle(show: Theatre, requests: readonly LoggedRequest[], bare?: number): void {
  const account = bare === undefined ? show.account.changes : show.account.looks;
  account.sent += requests.length;
  account.bare += bare ?? requests.length;
  say(green(`      ${count(requests.length, "request")}${costWords(requests)}`));
}

/** A few are named in full; of many, equal reads are counted. */
function costWords(requests: readonly LoggedRequest[]): string {
  const full = requests.map(({ method, path }) => `${method} ${path}`);
  if (full.length === 0) return "";
  if (full.length <= 3 && full.join(", ").length < 100) return `: ${full.join(", ")}`;
  const words = requests.map(({ method, path }) => {
    if (method !== "GET") return `${method} ${path}`;
    return path.includes("/tasks/") ? "GET of the task" : `GET ${path.replace(/^.*\//u, "")}`;
  });
  const parts = [...new Set(words)].map((word) => {
    const times = words.filter((other) => other === word).length;
    return times > 1 ? `${times} × ${word}` : word;
  });
  return `: ${parts.join(", ")}`;
}

function judge({ kind, text }: Answer, expected: string): void {
  if (kind === expected) return;
  say(red(`      This should have ended with ${expected || "success"}. ${text}`));
  process.exitCode = 1;
}

function summary({ account: { looks, changes } }: Theatre): void {
  chapter("Summary");
  const all = { sent: looks.sent + changes.sent, bare: looks.bare + changes.bare };
  const rows = Object.entries({
    "lookups and lists": looks,
    "changes and their tasks": changes,
    all,
  });
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { head: "requests", cell: ([name]) => name },
    { head: "sent", cell: ([, { sent }]) => sent, right: true },
    { head: "without memory", cell: ([, { bare }]) => bare, right: true },
    { head: "ratio", cell: ([, { sent, bare }]) => `1 : ${(bare / sent).toFixed(1)}`, right: true },
  ];
  say(table(rows, columns));
  say(
    "Without memory: 3 for each guest found (list, status, configuration), 1 for each list and each",
  );
  say("name not found; a change, its checks and its task are counted as they were here.");
}

function chapter(title: string): void {
  say(`\n${bold(`== ${title} ${"=".repeat(Math.max(0, 96 - title.length))}`)}`);
}

function narrate(text: string): void {
  say(`\n${dim(`  ... ${text}`)}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** `{vm: "web-1"}` */
function written(args: Arguments): string {
  return JSON.stringify(args, undefined, 1)
    .replace(/\s*\n\s*/gu, " ")
    .replace(/"(\w+)":/gu, "$1:")
    .replace(/^\{ (.*) \}$/u, "{$1}");
}

function shortened(text: string, most: number): string[] {
  const all = text.split("\n");
  const shown = all.slice(0, most).flatMap(wrapped);
  return all.length > most ? [...shown, `... ${count(all.length - most, "more line")}`] : shown;
}

/** At spaces, into lines that fit. */
function wrapped(line: string): string[] {
  return line.match(/.{1,112}(?=\s|$)|.{1,112}/gu)?.map((part) => part.trimEnd()) ?? [""];
}

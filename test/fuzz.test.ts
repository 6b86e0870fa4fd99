import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { filesBelow } from "../src/files.ts";
import type { Method } from "../src/http/transport.ts";
import { isProblem, Problem } from "../src/problem.ts";
import { seededRandom } from "../src/simulator/random.ts";
import { LoggedRequest } from "../src/simulator/request-log.ts";
import type { Tool } from "../src/tool.ts";
import { certificate } from "./certificate.ts";
import { namedIn, names, namesIn, strayed, unconfirmed, validCalls } from "./fuzz/calls.ts";
import { type Arguments, Dice, mutate } from "./fuzz/mutations.ts";
import { type Answer, type Lab, openLab, tools } from "./kit.ts";

const seed = Number(process.env["FUZZ_SEED"] ?? 1);
const amount = Number(process.env["FUZZ_CALLS"] ?? 10_000);
/** Changes wear a cluster out: after so many calls there is a new one. */
const callsALab = 300;

const fuzzed = tools.filter(({ name }) => name in validCalls);

it(`${amount} calls with one argument gone wrong do no harm and are answered in words that help`, {
  timeout: 300_000,
}, async () => {
  const rejections: unknown[] = [];
  const note = (reason: unknown) => rejections.push(reason);
  process.on("unhandledRejection", note);
  onTestFinished(() => void process.off("unhandledRejection", note));
  const found = await fuzz();
  const share = Math.round((found.reached / amount) * 100);
  process.stdout.write(
    `fuzz, seed ${seed}: ${amount} calls, ${share} % passed validation, ${found.changes} changes were sent; answers by kind: ${JSON.stringify(found.kinds)}\n`,
  );
  expect(found.failures.slice(0, 20), `FUZZ_SEED=${seed}`).toEqual([]);
  expect(rejections).toEqual([]);
  expect(share).toBeGreaterThanOrEqual(30);
  expect(found.changes).toBeGreaterThan(amount / 100);
  expect(Object.keys(Object.prototype)).toEqual([]);
});

it("has a valid call for every tool", () => {
  expect(Object.keys(validCalls).sort()).toEqual(tools.map(({ name }) => name).sort());
});

it.each<readonly [string, RegExp, Tool["run"]]>([
  ["a bug", /^a bug: .*oops/, () => Promise.reject(new TypeError("oops"))],
  ["no next step", /^no next step/, () => Promise.reject(new Problem("conflict", "No."))],
  [
    "an argument that is not named",
    /^does not name guest/,
    () => Promise.reject(new Problem("invalid_input", "No.", { next: "Do it." })),
  ],
  ["an object as text", /^an object as text/, async () => ({ name: String({}), node: "pve1" })],
  [
    "a change of another guest",
    /^sent POST \/nodes\/pve2\/qemu\/102\/status\/stop$/,
    async (_args, { proxmox, call }) => {
      await proxmox.power.stop("web-2", call, { mode: "stop" });
      return {};
    },
  ],
  [
    "a change in a dry run",
    /^sent a change that was not asked for$/,
    async (_args, { proxmox, call }) => {
      await proxmox.power.stop("web-1", call, { mode: "stop" });
      return {};
    },
  ],
])("would see %s", async (_what, complaint, run) => {
  const tool = tools.find(({ name }) => name === "stop_guest");
  if (!tool) throw new Error("no such tool");
  const stage = await newStage([{ ...tool, run }]);
  onTestFinished(stage.server.close);
  const found: Findings = { failures: [], kinds: {}, reached: 0, changes: 0 };
  const args = { guest: "web-1", dry_run: true };
  const complaints = await attempt(stage, tool, args, "guest", found);
  expect(complaints).toContainEqual(expect.stringMatching(complaint));
});

it("would see paths that are not a tool's own, and a deletion without the exact name", () => {
  const sent = (method: Method, path: string) => logged({ method, path });
  const guests = { named: new Set([101]), clones: new Set<number>() };
  const stray = (tool: string, args: Arguments, method: Method, path: string) =>
    strayed(tool, args, [sent(method, path)], guests).length;
  expect(stray("get_vm", {}, "GET", "/nodes/pve1/qemu/101/config")).toBe(0);
  expect(stray("get_vm", {}, "GET", "/nodes/pve1/qemu/101/../102/config")).toBe(1);
  expect(stray("get_vm", {}, "GET", "/nodes/pve9/qemu/101/config")).toBe(1);
  expect(stray("get_vm", {}, "POST", "/nodes/pve1/qemu/101/status/stop")).toBe(1);
  expect(stray("stop_guest", {}, "POST", "/nodes/pve1/qemu/102/status/stop")).toBe(1);
  const custom = "/nodes/pve1/certificates/custom";
  expect(stray("delete_certificate", { node: "pve1" }, "DELETE", custom)).toBe(0);
  expect(stray("delete_certificate", { node: "pve2" }, "DELETE", custom)).toBe(1);
  const disc = "/nodes/pve1/storage/local/content/local:iso/a.iso";
  const erase = "delete_storage_content";
  expect(stray(erase, { volume: "local:iso/a.iso" }, "DELETE", disc)).toBe(0);
  expect(stray(erase, { volume: "local:iso/b.iso" }, "DELETE", disc)).toBe(1);
  const gone = [sent("DELETE", "/nodes/pve1/qemu/101")];
  const nameOf = new Map([[101, "web-1"]]);
  expect(unconfirmed("delete_guest", { confirm: "web-1" }, gone, nameOf)).toEqual([]);
  expect(unconfirmed("delete_guest", { confirm: "web-2" }, gone, nameOf)).toHaveLength(1);
  expect(unconfirmed("delete_guest", {}, gone, nameOf)).toHaveLength(1);
});

function logged(request: { readonly method: Method; readonly path: string }): LoggedRequest {
  const rest = { at: 0, query: {}, body: {}, auth: "", contentType: "" };
  return new LoggedRequest({ ...request, ...rest });
}

interface Findings {
  readonly failures: string[];
  readonly kinds: Record<string, number>;
  reached: number;
  changes: number;
}

/** One cluster with a server, and what has happened there so far. */
interface Stage {
  readonly server: Lab;
  readonly bench: Bench;
  readonly clones: Set<number>;
  readonly upids: string[];
  /** Arguments of changes that were made: a guest may be called NaN from then on. */
  readonly written: string[];
}

async function fuzz(): Promise<Findings> {
  const found: Findings = { failures: [], kinds: {}, reached: 0, changes: 0 };
  const dice = new Dice(seededRandom(seed));
  const pem = await hostCertificate();
  let stage: Stage | undefined;
  for (let index = 0; index < amount; index++) {
    if (index % callsALab === 0) {
      await stage?.server.close();
      stage = await newStage();
    }
    const tool = fuzzed[index % fuzzed.length];
    if (!stage || !tool) throw new Error("nothing to call");
    const made = validCalls[tool.name]?.(dice, stage.upids) ?? {};
    const valid = tool.name === "create_certificate" ? { ...made, ...pem } : made;
    const { args, argument } = mutate(valid, Object.keys(tool.input.shape), names, dice);
    // For a call that never ends: the last line is the one.
    if (process.env["FUZZ_TRACE"])
      process.stderr.write(`${index} ${tool.name} ${JSON.stringify(args).slice(0, 200)}\n`);
    const complaints = await attempt(stage, tool, args, argument, found);
    const call = `call ${index}: ${tool.name} ${JSON.stringify(args).slice(0, 300)}`;
    found.failures.push(...complaints.map((complaint) => `${call}: ${complaint}`));
  }
  await stage?.server.close();
  return found;
}

/** One that is valid on the clock of the simulated cluster. */
async function hostCertificate(): Promise<Arguments> {
  const [from, until] = [new Date("2025-06-01"), new Date("2027-06-01")];
  const { cert, key } = await certificate("pve1", { names: ["pve1", "pve2", "pve3"], from, until });
  return { certificate: cert, key };
}

async function newStage(served: readonly Tool[] = fuzzed): Promise<Stage> {
  const bench = new Bench();
  const files = filesBelow(fileURLToPath(new URL("./fuzz", import.meta.url)));
  const server = await openLab({ tools: served.map((tool) => bench.watched(tool)), files });
  return { server, bench, clones: new Set(), upids: [], written: [] };
}

/** Sees what a client does not: whether a call has got to the tool's body, and the Problem it has ended with. */
class Bench {
  reached = false;
  problem: Problem | undefined;

  watched(tool: Tool): Tool {
    const run: Tool["run"] = async (input, context) => {
      this.reached = true;
      try {
        return await tool.run(input, context);
      } catch (error) {
        if (isProblem(error)) this.problem = error;
        throw error;
      }
    };
    return { ...tool, run };
  }
}

async function attempt(
  { server, bench, clones, upids, written }: Stage,
  tool: Tool,
  args: Arguments,
  argument: string,
  found: Findings,
): Promise<readonly string[]> {
  bench.reached = false;
  bench.problem = undefined;
  const { log } = server.simulator;
  const named = namedIn(args, server.simulator.world);
  const nameOf = namesIn(server.simulator.world);
  const mark = log.mark();
  let answer: Answer;
  try {
    answer = await server.call(tool.name, { ...args });
  } catch (error) {
    return [`the call itself failed: ${String(error)}`];
  }
  if (log.changes(mark).length > 0) await server.clock.advance(60_000);
  const requests = log.since(mark);
  const changes = log.changes(mark);
  for (const { path, body } of changes)
    if (/\/(?:clone|qemu|lxc)$/.test(path)) clones.add(Number(body["newid"] ?? body["vmid"]));
  if (typeof answer.data["upid"] === "string") upids.push(answer.data["upid"]);
  if (changes.length > 0) written.push(JSON.stringify(args));
  if (bench.reached) found.reached++;
  found.changes += changes.length;
  const kind = answer.isError ? answer.kind : "ok";
  found.kinds[kind] = (found.kinds[kind] ?? 0) + 1;
  const unasked =
    changes.length > 0 && (tool.effect === "read" || args["dry_run"] === true || !bench.reached);
  return [
    ...strayed(tool.name, args, requests, { named, clones }).map((line) => `sent ${line}`),
    ...unconfirmed(tool.name, args, changes, nameOf).map((line) => `sent unconfirmed ${line}`),
    ...(unasked ? ["sent a change that was not asked for"] : []),
    ...wordFaults(answer, [...written, JSON.stringify(args)].join("\n")),
    ...(kind === "bug" ? [`a bug: ${server.logged.at(-1)?.slice(0, 2_000)}`] : []),
    ...(answer.isError ? errorFaults(answer, bench.problem, argument) : []),
  ];
}

const unfit = [
  ["an object as text", /\[object \w+\]/],
  ["undefined", /\bundefined\b/],
  ["NaN", /\bNaN\b/],
  ["a stack trace", /\n\s*at .+:\d+|\w\.[tj]s:\d+/],
] as const;
const unseen = /(?![\n\t])[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Surrogate}]/u;

/** What no answer may hold, unless the caller's own words do; what nobody can see not even then. */
function wordFaults({ text, data, meta }: Answer, given: string): readonly string[] {
  const whole = `${text}\n${strings({ data, meta }).join("\n")}`;
  const faults: string[] = unfit
    .filter(([, shape]) => shape.test(whole) && !shape.test(given))
    .map(([what]) => what);
  if (unseen.test(whole)) faults.push("unseen characters");
  return faults.map((what) => `${what} in: ${whole.slice(0, 400)}`);
}

function strings(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(strings) : [];
}

function errorFaults(
  { text, kind, facts }: Answer,
  problem: Problem | undefined,
  argument: string,
): readonly string[] {
  const next = problem ? problem.next !== undefined : /Repeat the call .+\.$/.test(text);
  const shown = argument
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .slice(0, 50)
    .trim();
  // Where two arguments do not go together, either may be the one that is named.
  const named = `${text} ${JSON.stringify(facts)}`.includes(shown) || facts["argument"];
  const says = kind !== "invalid_input" || named;
  return [
    ...(text.startsWith(`${kind}: `) ? [] : [`does not begin with its kind ${kind}: ${text}`]),
    ...(next ? [] : [`no next step: ${text.slice(0, 300)}`]),
    ...(says ? [] : [`does not name ${shown}: ${text.slice(0, 300)}`]),
  ];
}

import { expect, it, onTestFinished } from "vitest";
import { isProblem, type Problem } from "../src/problem.ts";
import { seededRandom } from "../src/simulator/random.ts";
import type { Tool } from "../src/tool.ts";
import { toolsets } from "../tools/index.ts";
import { certificate } from "./certificate.ts";
import { namedIn, names, strayed, validCalls } from "./fuzz/calls.ts";
import { type Arguments, Dice, mutate } from "./fuzz/mutations.ts";
import { type Answer, type Lab, lab } from "./kit.ts";

const seed = Number(process.env["FUZZ_SEED"] ?? 1);
const amount = Number(process.env["FUZZ_CALLS"] ?? 10_000);
/** Changes wear a cluster out: after so many calls there is a new one. */
const callsALab = 300;

const all = Object.values(toolsets).flat();
const tools = all.filter(({ name }) => name in validCalls);

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
  expect(Object.keys(validCalls).sort()).toEqual(all.map(({ name }) => name).sort());
});

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
    const tool = tools[index % tools.length];
    if (!stage || !tool) throw new Error("nothing to call");
    const made = validCalls[tool.name]?.(dice, stage.upids) ?? {};
    const valid = tool.name === "create_certificate" ? { ...made, ...pem } : made;
    const { args, argument } = mutate(valid, Object.keys(tool.input.shape), names, dice);
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

async function newStage(): Promise<Stage> {
  const bench = new Bench();
  const server = await lab({ tools: tools.map((tool) => bench.watched(tool)) });
  return { server, bench, clones: new Set(), upids: [] };
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
  { server, bench, clones, upids }: Stage,
  tool: Tool,
  args: Arguments,
  argument: string,
  found: Findings,
): Promise<readonly string[]> {
  bench.reached = false;
  bench.problem = undefined;
  const { log } = server.simulator;
  const named = namedIn(args, server.simulator.world);
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
    if (path.endsWith("/clone")) clones.add(Number(body["newid"]));
  if (typeof answer.data["upid"] === "string") upids.push(answer.data["upid"]);
  if (bench.reached) found.reached++;
  found.changes += changes.length;
  const kind = answer.isError ? answer.kind : "ok";
  found.kinds[kind] = (found.kinds[kind] ?? 0) + 1;
  const unasked =
    changes.length > 0 && (tool.effect === "read" || args["dry_run"] === true || !bench.reached);
  return [
    ...strayed(tool.name, requests, named, clones).map((line) => `sent ${line}`),
    ...(unasked ? ["sent a change that was not asked for"] : []),
    ...wordFaults(answer, JSON.stringify(args)),
    ...(kind === "bug" ? [`a bug: ${server.logged.at(-1)?.slice(0, 2_000)}`] : []),
    ...(answer.isError ? errorFaults(answer, bench.problem, argument) : []),
  ];
}

const unfit = [
  ["an object as text", /\[object \w+\]/],
  ["undefined", /\bundefined\b/],
  ["NaN", /\bNaN\b/],
  ["a stack trace", /\n\s*at .+:\d+|\w\.[tj]s:\d+/],
  ["unseen characters", /(?![\n\t])[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Surrogate}]/u],
] as const;

/** What no answer may hold, unless the caller's own words do. */
function wordFaults({ text, data, meta }: Answer, given: string): readonly string[] {
  const whole = `${text}\n${strings({ data, meta }).join("\n")}`;
  const faults = unfit.filter(([, shape]) => shape.test(whole) && !shape.test(given));
  return faults.map(([what]) => `${what} in: ${whole.slice(0, 400)}`);
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
  const says = kind !== "invalid_input" || `${text} ${JSON.stringify(facts)}`.includes(shown);
  return [
    ...(text.startsWith(`${kind}: `) ? [] : [`does not begin with its kind ${kind}: ${text}`]),
    ...(next ? [] : [`no next step: ${text.slice(0, 300)}`]),
    ...(says ? [] : [`does not name ${shown}: ${text.slice(0, 300)}`]),
  ];
}

import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { isProblem, Problem } from "../problem.ts";
import { ago, closest, followedBy } from "../text.ts";
import type { Tool, ToolContext } from "../tool.ts";
import { annotations, toolMeta } from "./annotations.ts";
import { type ArgumentParser, argumentParser } from "./arguments.ts";
import { createPresenter, type Presenter } from "./present.ts";
import { inputSchema, type JsonSchema, outputSchema } from "./schema.ts";
import { settler } from "./settle.ts";
import { type Shape, Shapes } from "./shapes.ts";

/** How a long call tells that it goes on: `done` is a fraction 0..1 where it is known. */
export interface CallProgress {
  readonly done?: number;
  readonly message: string;
}

export interface CallRequest {
  readonly signal: AbortSignal;
  readonly progress?: ((progress: CallProgress) => void) | undefined;
}

/** What a call is made from: handed to the composition root, which alone knows the connection. */
export interface CallOptions extends CallRequest {
  readonly maxAgeMs?: number | undefined;
}

type Arguments = Readonly<Record<string, unknown>>;

export interface ServerOptions {
  readonly tools: readonly Tool[];
  /** Everything a tool gets but `settle` and `once`, which this server adds. */
  readonly makeContext: (
    options: CallOptions,
    args: Arguments,
  ) => Omit<ToolContext, "settle" | "once">;
  readonly clock: Clock;
  readonly log: Log;
  readonly instructions: string;
  /** Never leave the server in any string. */
  readonly secrets: readonly string[];
  /** Why a tool that exists elsewhere is not listed here (another toolset, read-only), as one sentence. */
  readonly absent?: (name: string) => string | undefined;
  readonly newReference?: () => string;
  /** Called once, when the first client has connected. */
  readonly onFirstClient?: () => void;
}

/** A tool as clients see it. */
export interface ListedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema: JsonSchema;
  readonly annotations?: Readonly<Record<string, boolean>>;
  readonly _meta?: Readonly<Record<string, unknown>>;
}

/** The answer to a call in the shape that every revision of the protocol shares. */
export interface CallResult {
  readonly content: readonly [{ readonly type: "text"; readonly text: string }];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: true;
  readonly _meta: Readonly<Record<string, unknown>>;
}

/** The registry served: protocol-neutral, so that each era of MCP is one thin adapter above it. */
export interface ToolServer {
  readonly instructions: string;
  list(): readonly ListedTool[];
  /** For the adapters: another client has connected. */
  connected(): void;
  /** Never rejects for what a tool does; rejects with UnknownTool when there is none of that name. */
  call(name: string, args: Arguments, request: CallRequest): Promise<CallResult>;
}

/** No tool has this name: a mistake against the list, so the adapters answer it as a protocol error. */
export class UnknownTool extends Error {}

/** Builds every listed schema at once, so that a schema some clients would refuse stops the start. */
export function createServer(options: ServerOptions): ToolServer {
  const tools = new Map(options.tools.map((tool) => [tool.name, served(tool)]));
  if (tools.size !== options.tools.length) throw new Error("two tools have the same name");
  const listed = options.tools.map(listedTool);
  const presenter = createPresenter({ secrets: options.secrets });
  let first = true;
  return {
    instructions: options.instructions,
    list: () => listed,
    connected: () => {
      if (first) options.onFirstClient?.();
      first = false;
    },
    call: (name, args, request) => {
      const known = tools.get(name);
      if (known === undefined)
        return Promise.reject(unknownTool(name, [...tools.keys()], options, presenter));
      return answer(known, args, request, options, presenter);
    },
  };
}

function listedTool(tool: Tool): ListedTool {
  const hints = annotations(tool.effect);
  const meta = toolMeta(tool.effect);
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: inputSchema(tool),
    outputSchema: outputSchema(tool),
    ...(hints === undefined ? {} : { annotations: hints }),
    ...(meta === undefined ? {} : { _meta: meta }),
  };
}

function unknownTool(
  name: string,
  known: readonly string[],
  { absent }: ServerOptions,
  presenter: Presenter,
): UnknownTool {
  const why = absent?.(name);
  const near = closest(name, known, 3);
  const hint =
    why ?? (near.length === 0 ? "tools/list names them all." : `Closest: ${near.join(", ")}.`);
  return new UnknownTool(`No tool named ${JSON.stringify(presenter.text(name, 64))} here. ${hint}`);
}

interface Served {
  readonly tool: Tool;
  readonly parse: ArgumentParser;
  readonly shapes: Shapes;
}

function served(tool: Tool): Served {
  return { tool, parse: argumentParser(tool), shapes: new Shapes() };
}

/** The one try/catch of a call: whatever happens below becomes an answer here. */
async function answer(
  { tool, parse, shapes }: Served,
  args: Arguments,
  request: CallRequest,
  options: ServerOptions,
  presenter: Presenter,
): Promise<CallResult> {
  let call: ToolContext["call"] | undefined;
  const freshness = (): Arguments =>
    call === undefined ? { apiCalls: 0 } : { ...call.summary(options.clock.now()) };
  try {
    const input = parse(args);
    const context = contextFor(input, presented(request, presenter), options, shapes);
    call = context.call;
    const result = await tool.run(input, context);
    const shape = shapes.of(result, input, () => shaped(tool, result, input, presenter));
    return success(tool, shape, freshness());
  } catch (error) {
    return failure(explained(error, tool, request.signal, options), freshness(), presenter);
  }
}

/** What tasks log on the way is as little to be trusted as what answers hold. */
function presented({ signal, progress }: CallRequest, presenter: Presenter): CallRequest {
  if (!progress) return { signal };
  const tell = (step: CallProgress) => progress({ ...step, message: presenter.text(step.message) });
  return { signal, progress: tell };
}

const defaultWaitS = 45;

function contextFor(
  input: Arguments,
  request: CallRequest,
  options: ServerOptions,
  shapes: Shapes,
): ToolContext {
  const { max_age_s: maxAgeS, wait_s: waitS } = input;
  const maxAgeMs = typeof maxAgeS === "number" ? maxAgeS * 1000 : undefined;
  const context = options.makeContext({ ...request, maxAgeMs }, input);
  const waitMs = (typeof waitS === "number" ? waitS : defaultWaitS) * 1000;
  const { call } = context;
  // Into the object that was made for this call: a copy would cost as much as all else here.
  return Object.assign(context, {
    settle: settler({ call, clock: options.clock, waitMs }),
    once: shapes.once,
  });
}

/** A result that breaks its own schema is our mistake: clients would refuse it with words nobody can act on. */
function checked(tool: Tool, raw: unknown): Arguments {
  const parsed = tool.output.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new Error(`${tool.name} broke its output schema: ${z.prettifyError(parsed.error)}`);
}

function shaped(tool: Tool, raw: unknown, input: Arguments, presenter: Presenter): Shape {
  const result = checked(tool, raw);
  const data = Object.fromEntries(Object.entries(presenter.value(result) ?? {}));
  return { text: presenter.answer(tool.show(result, input)), data };
}

function success(tool: Tool, { text, data }: Shape, freshness: Arguments): CallResult {
  // A change has read past the memory and speaks of now; only what was looked up can be old.
  const age = tool.effect === "read" ? ageNote(freshness) : undefined;
  return {
    content: [{ type: "text", text: age === undefined ? text : `${text}\n${age}` }],
    structuredContent: data,
    _meta: freshness,
  };
}

const silentAgeMs = 5_000;

function ageNote({ ageMs, checkedAgeMs }: Arguments): string | undefined {
  if (typeof ageMs !== "number" || ageMs <= silentAgeMs) return undefined;
  const checked =
    typeof checkedAgeMs === "number" ? `, checked for changes ${ago(checkedAgeMs)}` : "";
  return `(as of ${ago(ageMs)}${checked}; row figures may be 10 s older)`;
}

function failure(problem: Problem, freshness: Arguments, presenter: Presenter): CallResult {
  const { kind, message, next, retryable, facts } = problem;
  const text = presenter.answer(followedBy(`${kind}: ${message}`, next));
  const error = presenter.value({ kind, retryable, facts });
  return { isError: true, content: [{ type: "text", text }], _meta: { error, ...freshness } };
}

function explained(
  error: unknown,
  tool: Tool,
  signal: AbortSignal,
  options: ServerOptions,
): Problem {
  if (isProblem(error)) return error;
  if (isAbort(error) || (signal.aborted && error === signal.reason)) return cancelled(tool, error);
  const { log, newReference = () => randomBytes(4).toString("hex") } = options;
  const reference = newReference();
  log.error("bug", { reference, tool: tool.name, error });
  const doubt =
    tool.effect === "read" ? "" : " The change may have been made: look before you repeat it.";
  return new Problem(
    "bug",
    `${tool.name} failed through a fault of this server (reference ${reference}).${doubt}`,
    {
      next: "Other arguments will hardly help; the server's log on stderr has the details under that reference.",
      facts: { reference },
      cause: error,
    },
  );
}

function cancelled(tool: Tool, cause: unknown): Problem {
  const started =
    tool.effect === "read" ? {} : { next: "What was already started goes on; get_tasks shows it." };
  return new Problem("cancelled", `${tool.name} was given up at the caller's request.`, {
    ...started,
    cause,
  });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

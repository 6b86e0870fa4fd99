import type * as z from "zod";
import type { Outcome } from "./each.ts";
import type { Files } from "./files.ts";
import type { Question } from "./guard/confirm.ts";
import type { Call } from "./proxmox/api/call.ts";
import type { ProxmoxClient } from "./proxmox/client.ts";
import type { Task, TaskReport } from "./proxmox/tasks/task.ts";

/** What a call can do to the cluster; the only source of annotations, read-only mode and confirmation. */
export type Effect = "read" | "change" | "interrupt" | "destroy";

/** What the body of a tool gets besides its arguments. */
export interface ToolContext {
  readonly proxmox: ProxmoxClient;
  /** Cancellation, the freshness that the caller asked for, and the account of what this call cost. */
  readonly call: Call;
  /** Files that arguments may name; absent without `--files`. */
  readonly files?: Files;
  /** Waits for a task as long as the caller allows (`wait_s`), reporting progress; throws task_failed when it failed. */
  settle(task: Task): Promise<TaskReport>;
  /** Returns when the caller has confirmed what cannot be undone; throws confirmation_required until then. */
  confirm(question: Question): void | Promise<void>;
  /**
   * What `make` makes of `source`: made once for as long as that lives, so that the answer need not be checked, cleaned and put into
   * words again. `make` must depend on nothing else.
   */
  once<T extends object>(source: object, make: () => T): T;
  /** Runs for several items, a few at a time; one that fails does not keep the others from being done. */
  each<Item, T>(
    items: readonly Item[],
    run: (item: Item) => Promise<T>,
  ): Promise<readonly Outcome<T>[]>;
}

/** A tool is a value: name, words, schemas, effect and a body of a few lines. Input and output are zod objects. */
export interface Tool<In extends z.ZodObject = z.ZodObject, Out extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly description: string;
  readonly effect: Effect;
  readonly input: In;
  /** Arguments of `input` that name files: they are not there unless the server may read files (`--files`). */
  readonly fileArguments?: readonly string[];
  /** Of no use without `--files`, and then not there. */
  readonly needsFiles?: true;
  /** Only the fields that scripts rely on; nested parts are bare objects and arrays. */
  readonly output: Out;
  /** Method syntax on purpose: one registry holds tools of many input types. */
  run(input: z.output<In>, context: ToolContext): Promise<z.input<Out>>;
  /** The short text that stands alone: a table or a few lines, not the JSON again. */
  show(result: z.output<Out>, input: z.output<In>): string;
}

/** Types a tool from its schemas. */
export function defineTool<In extends z.ZodObject, Out extends z.ZodObject>(
  tool: Tool<In, Out>,
): Tool<In, Out> {
  return tool;
}

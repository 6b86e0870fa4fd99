import * as z from "zod";
import { metaOf, type SettingMeta, type SettingName, settings } from "./config.ts";
import type { Effect, Tool } from "./tool.ts";

type Toolsets = Readonly<Record<string, readonly Tool[]>>;

/** What tools can do to a cluster, from the most harmless on. */
const effects: readonly Effect[] = ["read", "change", "interrupt", "destroy"];

/** The README's tables of tools, one a toolset: name, effect, what it does, arguments (`?` marks the optional ones). */
export function toolsTables(toolsets: Toolsets): string {
  return Object.entries(toolsets)
    .map(([name, tools]) => `${code(name)}\n\n${toolsTable(tools)}`)
    .join("\n\n");
}

function toolsTable(tools: readonly Tool[]): string {
  const rows = tools.map(({ name, effect, description, input }) => [
    code(name),
    effect,
    cell(firstSentence(description)),
    argumentWords(input).map(code).join(" "),
  ]);
  return markdownTable(["Tool", "Effect", "What it does", "Arguments"], rows);
}

/** The README's table of settings that this version reads. */
export function configurationTable(): string {
  const rows = current().map((meta) => [
    names(meta).map(code).join(" "),
    cell(meta.words),
    meta.example === undefined ? "" : code(meta.example),
  ]);
  return markdownTable(["Setting", "What it does", "Example"], rows);
}

/** What `--help` prints: the settings, and the toolsets with their tools, by what these can do. */
export function usage(toolsets: Toolsets): string {
  const entries = current().map((meta) => [names(meta).join(", "), meta.words] as const);
  const sets = Object.entries(toolsets).flatMap(([name, tools]) => byEffect(name, tools));
  const width = Math.max(...[...entries, ...sets].map(([name]) => name.length));
  const line = ([name, words]: readonly [string, string]) => `  ${name.padEnd(width)}  ${words}\n`;
  return [
    "mcp-server-proxmox: Proxmox VE for AI agents, over MCP on stdin and stdout.\n",
    "\nUsage: mcp-server-proxmox [flags]\n\n",
    ...entries.map(line),
    "\nToolsets:\n",
    ...sets.map(line),
  ].join("");
}

/**
 * `markdown` with the text between `<!-- name -->` and `<!-- /name -->` replaced by `body`.
 * Throws when the section is not there exactly once: a table that is silently not written goes stale.
 */
export function replaceSection(markdown: string, name: string, body: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, inside, ...more] = markdown.split(open);
  const end = inside?.indexOf(close) ?? -1;
  if (inside === undefined || more.length > 0 || end < 0) {
    throw new Error(`the text needs one section from ${open} to ${close}`);
  }
  return `${before}${open}\n${body.trim()}\n${inside.slice(end)}`;
}

/** A line an effect; the name stands on the first. */
function byEffect(name: string, tools: readonly Tool[]): (readonly [string, string])[] {
  return effects
    .map((effect) => [effect, tools.filter((tool) => tool.effect === effect)] as const)
    .filter(([, some]) => some.length > 0)
    .map(([effect, some], index) => {
      const names = some.map((tool) => tool.name).join(", ");
      return [index === 0 ? name : "", `${effect}: ${names}`] as const;
    });
}

function current(): SettingMeta[] {
  const all: readonly SettingName[] = settings.keyof().options;
  return all.map(metaOf).filter(({ later }) => later === undefined);
}

function names({ env, flag, secret, example }: SettingMeta): string[] {
  if (env !== undefined) return secret ? [env, `${env}_FILE`] : [env];
  return flag === undefined ? [] : [example === undefined ? flag : `${flag} ${example}`];
}

function argumentWords(input: z.ZodObject): string[] {
  return Object.entries(input.shape).map(([name, schema]) =>
    z.safeParse(schema, undefined).success ? `${name}?` : name,
  );
}

/** Up to the first full stop that ends a sentence: one followed by white space and a capital, or by nothing. */
function firstSentence(description: string): string {
  return /^.*?[.!?](?=\s+[A-Z`]|\s*$)/su.exec(description)?.[0] ?? description;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function cell(text: string): string {
  return text.replace(/\s+/gu, " ").replaceAll("|", "\\|");
}

function code(text: string): string {
  return `\`${cell(text)}\``;
}

import ts from "typescript";
import { allowed, sdk } from "./floors.ts";
import type { Source } from "./sources.ts";

const roots = ["src/main.ts", "src/serve.ts", "src/demo.ts"];
const wire = /^src\/http\/(trust|undici-transport)\.ts$|^src\/simulator\/listen\.ts$/;
const mayTellTime = (path: string) =>
  [...roots, "src/clock.ts", "src/mcp/stdio.ts"].includes(path) || wire.test(path);

/** One rule of the house and the proof that it is looked for. */
export interface Rule {
  readonly name: string;
  readonly holds: RegExp;
  /** The places that break it. */
  readonly find: (source: Source) => readonly string[];
  /** A file that breaks it: the rule must see that. */
  readonly planted: readonly (readonly [path: string, text: string])[];
}

const code = /^(src|tools)\//;
const nodesThat = (source: Source, test: (node: ts.Node) => boolean) =>
  source.nodes.filter(test).map((node) => `${source.path}:${ownerOf(node)}`);
const isNamed = (node: ts.Node, ...names: readonly string[]) =>
  ts.isIdentifier(node) && names.includes(node.text);
/** `{ console: … }` names a field. */
const isKey = (node: ts.Node) => ts.isPropertyAssignment(node.parent) && node.parent.name === node;
const isMember = (node: ts.Node, object: string, ...members: readonly string[]) =>
  ts.isPropertyAccessExpression(node) &&
  isNamed(node.expression, object) &&
  isNamed(node.name, ...members);

export const rules: readonly Rule[] = [
  {
    name: "floors",
    holds: code,
    find: (source) =>
      source.imports
        .filter((one) => !allowed(source.path, one))
        .map(({ of }) => `${source.path} imports ${of}`),
    planted: [
      ["tools/x.ts", `import { Server } from "${sdk}server/index.js";`],
      ["tools/x.ts", 'import { ApiClient } from "../src/http/client.ts";'],
      ["tools/x.ts", 'import { guestWords } from "../src/proxmox/api/values.ts";'],
      ["tools/x.ts", 'import type { Simulator } from "../src/simulator/simulator.ts";'],
      ["src/mcp/server.ts", `export { Server } from "${sdk}server/index.js";`],
      ["src/http/client.ts", 'const undici = await import("undici/index.js");'],
      ["src/http/undici-transport.ts", 'import { Agent } from "undici";'],
      ["src/guard/policy.ts", 'import { LRUCache } from "lru-cache";'],
      ["src/simulator/world.ts", 'import type { Upid } from "../proxmox/api/values.ts";'],
      ["src/simulator/world.ts", 'let upid: import("../proxmox/api/values.ts").Upid;'],
      ["src/proxmox/raw.ts", 'import { getVm } from "../../tools/get-guest.ts";'],
      ["src/proxmox/raw.ts", 'import { createServer } from "../mcp/server.ts";'],
      ["src/proxmox/tasks/raw.ts", 'import type { Cluster } from "../cluster/cluster.ts";'],
      ["src/proxmox/tasks/raw.ts", 'import type { ProxmoxClient } from "../client.ts";'],
      ["src/proxmox/guests/raw.ts", 'import { ReadCache } from "../../cache/cache.ts";'],
      ["src/tool.ts", 'import { Call } from "./proxmox/api/call.ts";'],
      ["src/tool.ts", 'import { type Call, fresh } from "./proxmox/api/call.ts";'],
      ["src/newcomer.ts", 'import { count } from "./text.ts";'],
    ],
  },
  {
    name: "file length",
    holds: /^(src|tools|test|bench)\//,
    find: ({ path, lines }) => (lines > (path.startsWith("tools/") ? 250 : 300) ? [path] : []),
    planted: [
      ["src/long.ts", "\n".repeat(301)],
      ["tools/long.ts", "\n".repeat(251)],
    ],
  },
  {
    name: "function length",
    holds: code,
    find: (source) => nodesThat(source, (node) => isLongFunction(node, source)),
    planted: [["src/x.ts", `const f = () => {${"\n".repeat(40)}};`]],
  },
  {
    name: "tools do not catch",
    holds: /^tools\//,
    find: (source) =>
      nodesThat(source, (node) => ts.isTryStatement(node) || isCallOf(node, "catch")),
    planted: [
      ["tools/x.ts", "try { f(); } catch {}"],
      ["tools/x.ts", "f().catch(() => 1);"],
    ],
  },
  {
    name: "console",
    holds: code,
    find: (source) => nodesThat(source, (node) => isNamed(node, "console") && !isKey(node)),
    planted: [
      ["src/x.ts", 'function f() { console.log("x"); }'],
      ["src/x.ts", "const { log } = globalThis.console;"],
    ],
  },
  {
    name: "any",
    holds: /./,
    find: (source) => nodesThat(source, (node) => node.kind === ts.SyntaxKind.AnyKeyword),
    planted: [["src/x.ts", "const x = y as any;"]],
  },
  {
    name: "module state",
    holds: code,
    find: (source) =>
      source.tree.statements.filter((one) => isState(one, source)).map(() => source.path),
    planted: [
      ["src/x.ts", "let count = 0;"],
      ["src/x.ts", "export const seen = new Map<string, string>();"],
      [
        "src/x.ts",
        "const seen = new Set<string>(); export const see = (x: string) => seen.add(x);",
      ],
      ["src/x.ts", "const kept = new LRUCache<string, string>({ max: 1 });"],
    ],
  },
  {
    name: "named exports",
    holds: code,
    find: (source) => nodesThat(source, isUnnamedExport),
    planted: [
      ["src/x.ts", "export default 1;"],
      ["src/x.ts", "export default function f() {}"],
      ["src/x.ts", 'export * from "./text.ts";'],
    ],
  },
  {
    name: "process",
    holds: code,
    find: (source) =>
      [...roots, "src/mcp/stdio.ts"].includes(source.path)
        ? []
        : nodesThat(source, (node) => isNamed(node, "process")),
    planted: [["src/x.ts", 'import process from "node:process";']],
  },
  {
    name: "environment",
    holds: code,
    find: (source) =>
      roots.includes(source.path)
        ? []
        : nodesThat(source, (node) => isMember(node, "process", "env")),
    planted: [["src/mcp/stdio.ts", "const home = process.env;"]],
  },
  {
    name: "time",
    holds: code,
    find: (source) => (mayTellTime(source.path) ? [] : nodesThat(source, tellsTime)),
    planted: [
      ["src/x.ts", "const now = Date.now();"],
      ["src/x.ts", "const now = new Date();"],
      ["src/x.ts", "setTimeout(f, 1);"],
      ["src/x.ts", 'import { setTimeout as sleep } from "node:timers/promises";'],
    ],
  },
];

function isLongFunction(node: ts.Node, { tree }: Source): boolean {
  if (!ts.isFunctionLike(node) || !("body" in node) || !node.body) return false;
  const lineAt = (position: number) => tree.getLineAndCharacterOfPosition(position).line;
  return lineAt(node.end) - lineAt(node.getStart(tree)) + 1 > 40;
}

function isCallOf(node: ts.Node, member: string): boolean {
  return (
    ts.isCallExpression(node) &&
    ts.isPropertyAccessExpression(node.expression) &&
    isNamed(node.expression.name, member)
  );
}

/** `let` and `var`, and collections that others may change (exported as such) or that this file changes. */
function isState(statement: ts.Statement, { nodes }: Source): boolean {
  if (!ts.isVariableStatement(statement)) return false;
  const { flags, declarations } = statement.declarationList;
  if ((flags & ts.NodeFlags.Const) === 0) return true;
  const exported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  return declarations.some(({ name, type, initializer }) => {
    if (!initializer || !ts.isNewExpression(initializer) || !ts.isIdentifier(name)) return false;
    const { expression } = initializer;
    if (isNamed(expression, "WeakMap", "WeakSet", "LRUCache", "Mutex", "Semaphore")) return true;
    if (!isNamed(expression, "Map", "Set") || type?.getText().startsWith("Readonly")) return false;
    if (exported) return true;
    return nodes.some((node) => isMember(node, name.text, "add", "set", "delete", "clear"));
  });
}

function isUnnamedExport(node: ts.Node): boolean {
  if (ts.isExportDeclaration(node)) return node.exportClause === undefined;
  return (
    ts.isExportAssignment(node) ||
    (node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent))
  );
}

function tellsTime(node: ts.Node): boolean {
  if (ts.isStringLiteral(node)) return node.text.startsWith("node:timers");
  if (ts.isNewExpression(node))
    return isNamed(node.expression, "Date") && (node.arguments ?? []).length === 0;
  return isMember(node, "Date", "now") || isNamed(node, "setTimeout", "setInterval", "performance");
}

/** The function or variable at the top of the file that a node is part of. */
function ownerOf(node: ts.Node): string {
  let top = node;
  while (top.parent && !ts.isSourceFile(top.parent)) top = top.parent;
  const named = ts.isVariableStatement(top) ? top.declarationList.declarations[0] : top;
  const name = named && ts.getNameOfDeclaration(named as ts.Declaration);
  return name && ts.isIdentifier(name) ? name.text : "";
}

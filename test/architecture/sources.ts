import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";

/** What a file imports: a path from the top of the project, or a package with the path inside it. */
export interface Import {
  readonly of: string;
  readonly typeOnly: boolean;
}

/** A file as the compiler reads it. */
export interface Source {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly nodes: readonly ts.Node[];
  readonly tree: ts.SourceFile;
}

/** A file from its text; it need not exist. */
export function parse(path: string, text: string): Source {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node) => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  const imports = nodes.flatMap((node) => importOf(node, path) ?? []);
  return { path, lines: text.split("\n").length - 1, imports, nodes, tree };
}

function importOf(node: ts.Node, path: string): Import | undefined {
  const [name, typeOnly] = specifierOf(node);
  if (!name || !ts.isStringLiteralLike(name)) return undefined;
  const { text } = name;
  const of = text.startsWith(".") ? posix.join(posix.dirname(path), text) : text;
  return { of, typeOnly };
}

function specifierOf(node: ts.Node): readonly [ts.Node | undefined, boolean] {
  if (ts.isImportDeclaration(node))
    return [node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword];
  if (ts.isExportDeclaration(node)) return [node.moduleSpecifier, node.isTypeOnly];
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return [node.argument.literal, true];
  const dynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return [dynamic ? node.arguments[0] : undefined, false];
}

/** All files of a folder, however deep. */
export function read(folder: string): readonly Source[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => /\.ts$/.test(path))
    .map((path) => parse(path, readFileSync(path, "utf8")));
}

/** The first way by which a file comes to import itself, be it for a type: what it shares with the other has no place yet. */
export function circle(sources: readonly Source[]): readonly string[] | undefined {
  const uses = new Map(sources.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const walk = (path: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(path)) return [...way, path];
    if (done.has(path)) return undefined;
    for (const { of } of uses.get(path) ?? []) {
      const found = walk(of, [...way, path]);
      if (found) return found;
    }
    done.add(path);
    return undefined;
  };
  return sources.map(({ path }) => walk(path, [])).find((way) => way !== undefined);
}

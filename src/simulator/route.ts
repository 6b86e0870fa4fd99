import type { Method } from "../http/transport.ts";
import type { Cluster } from "./cluster.ts";
import { configIdFormat, nodeFormat, storageIdFormat, vmidFormat } from "./formats.ts";
import type { Parameter, Parameters, Values } from "./parameters.ts";
import type { Access } from "./permissions.ts";

/** What a handler works with. */
export interface Call {
  readonly cluster: Cluster;
  readonly access: Access;
  /** Path and request parameters, checked. */
  readonly values: Values;
}

/** A list with `total` beside it, or a whole text instead of JSON. */
export class Page {
  readonly data: unknown;
  readonly total: number;

  constructor(data: unknown, total: number) {
    this.data = data;
    this.total = total;
  }
}

/** A whole file instead of JSON. */
export class Plain {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Judges before existence, node and parameters are looked at; `given` is unchecked. Throws 403. */
export type Permission = (access: Access, given: Readonly<Record<string, string>>) => void;

export interface Route {
  readonly method: Method;
  /** `/nodes/{node}/qemu/{vmid}/config`; a last `{volume}` takes the whole rest. */
  readonly path: string;
  /** Absent: everybody who is logged in. */
  readonly permission?: Permission;
  /** Runs on the answering host although the path names a node. */
  readonly local?: boolean;
  /** Needs no login at all. */
  readonly open?: boolean;
  /** Hosts before that version know no such path. */
  readonly since?: "9.1";
  /** Refuses API tokens (`allowtoken` 0). */
  readonly ticketOnly?: boolean;
  readonly parameters?: Parameters;
  handle(call: Call): unknown;
}

/** All of these privileges; `{name}` in the path is filled in. */
export function needs(path: string, ...privileges: readonly string[]): Permission {
  return (access, given) => access.need(fill(path, given), ...privileges);
}

/** Any of these privileges. */
export function needsAny(path: string, ...privileges: readonly string[]): Permission {
  return (access, given) => access.needAny(fill(path, given), privileges);
}

function fill(path: string, given: Readonly<Record<string, string>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => given[name] ?? "");
}

export const vmidParameter: Parameter = {
  type: "integer",
  format: vmidFormat,
  minimum: 100,
  maximum: 999_999_999,
};

/** The schemas of what stands in paths. */
const pathParameters: Parameters = {
  node: { type: "string", format: nodeFormat },
  vmid: vmidParameter,
  upid: { type: "string" },
  storage: { type: "string", format: storageIdFormat },
  volume: { type: "string" },
  snapname: { type: "string", format: configIdFormat, maxLength: 40 },
};

export interface Match {
  readonly route: Route;
  /** Values of the path parameters. */
  readonly uri: Readonly<Record<string, string>>;
  /** Path and request parameters together. */
  readonly parameters: Parameters;
}

interface Entry {
  readonly route: Route;
  readonly pieces: readonly string[];
  readonly parameters: Parameters;
}

/** Finds the route of a request; literal pieces win over `{…}`, as earlier routes over later ones. */
export class RouteTable {
  readonly #entries = new Map<string, Entry[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const pieces = split(route.path);
      const parameters: Record<string, Parameter> = { ...route.parameters };
      for (const name of pieces.filter(isVariable).map(nameOf)) {
        parameters[name] ??= pathParameters[name] ?? { type: "string" };
      }
      const entries = this.#entries.get(route.method) ?? [];
      entries.push({ route, pieces, parameters });
      this.#entries.set(route.method, entries);
    }
  }

  find(method: string, path: string): Match | undefined {
    const pieces = split(path);
    for (const { route, pieces: pattern, parameters } of this.#entries.get(method) ?? []) {
      const uri = match(pattern, pieces);
      if (uri) return { route, uri, parameters };
    }
    return undefined;
  }
}

function match(
  pattern: readonly string[],
  pieces: readonly string[],
): Record<string, string> | undefined {
  const rest = pattern.at(-1) === "{volume}";
  if (rest ? pieces.length < pattern.length : pieces.length !== pattern.length) return undefined;
  const uri: Record<string, string> = {};
  for (const [index, piece] of pattern.entries()) {
    const value = pieces[index] ?? "";
    if (isVariable(piece)) {
      uri[nameOf(piece)] = piece === "{volume}" ? pieces.slice(index).join("/") : value;
    } else if (piece !== value) {
      return undefined;
    }
  }
  return uri;
}

function split(path: string): string[] {
  return path.split("/").filter((piece) => piece !== "");
}

function isVariable(piece: string): boolean {
  return piece.startsWith("{");
}

function nameOf(piece: string): string {
  return piece.slice(1, -1);
}

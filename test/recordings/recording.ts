import { readFileSync } from "node:fs";
import { shared } from "../shared.ts";

/** Exchanges with a real host; they lie beside the repository where somebody has recorded some. */
const file = shared("pve/recordings.jsonl");

export const recorded = file !== undefined;
export const missing = "the recordings of a real host do not lie beside the repository";

export interface Recording {
  readonly n: number;
  readonly note: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    /** `none`, `token:user@realm!name` or `ticket:user@realm`. */
    readonly auth: string;
    readonly query?: Readonly<Record<string, unknown>>;
    readonly body?: Readonly<Record<string, unknown>>;
    readonly content_type?: string;
    readonly extra_headers?: Readonly<Record<string, string>>;
    readonly raw_body?: string;
  };
  readonly response: {
    /** 0: the connection ended without an answer. */
    readonly status: number;
    readonly reason: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: unknown;
    readonly seconds?: number | null;
  };
  /** Why the content comes from where it was recorded rather than from PVE. */
  readonly rig_artifact?: string;
}

export function readRecordings(): Recording[] {
  return readFileSync(file ?? "", "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): Recording => JSON.parse(line));
}

/** `body.data` of an answer; undefined where it has none. */
export function dataOf(body: unknown): unknown {
  return isRecord(body) ? body["data"] : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const upidInPath = /\/tasks\/([^/?]+)/;

/** The UPID that a path names, decoded. */
export function upidOf(path: string): string | undefined {
  const found = upidInPath.exec(path)?.[1];
  return found === undefined ? undefined : decodeURIComponent(found);
}

/** `GET /nodes/{node}/qemu/{vmid}/config`: what differences and missing routes are listed by. */
export function routeOf({ request }: Recording): string {
  const path = request.path
    .replace(/^\/api2\/json/, "")
    .replace(/\/nodes\/[^/]+/, "/nodes/{node}")
    .replace(/\/(qemu|lxc)\/\d+/, "/$1/{vmid}")
    .replace(/\/tasks\/[^/]+/, "/tasks/{upid}")
    .replace(/\/snapshot\/[^/]+/, "/snapshot/{snapname}")
    .replace(/\/content\/.+/, "/content/{volume}")
    .replace(/\/storage\/[^/]+\//, "/storage/{storage}/")
    .replace(/\/users\/[^/]+/, "/users/{userid}")
    .replace(/\/token\/[^/]+/, "/token/{tokenid}");
  return `${request.method} ${path}`;
}

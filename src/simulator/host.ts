import { createHash } from "node:crypto";
import type { Method, WireReply } from "../http/transport.ts";
import { authenticate, presentsToken, stranger } from "./authentication.ts";
import type { Cluster } from "./cluster.ts";
import { checkParameters } from "./parameters.ts";
import { Access } from "./permissions.ts";
import { badParameters, died, forbidden, Refusal } from "./refusal.ts";
import type { Given, ParsedRequest } from "./request.ts";
import { type Match, Page, Plain, type RouteTable } from "./route.ts";
import type { Received } from "./upload-body.ts";

/** How long a host keeps a 401 back (PVE::APIServer::AnyEvent). */
const unauthorizedDelayMs = 3000;

/** Decodes a request; a request that the HTTP server itself refuses throws. */
export type Parse = () => ParsedRequest;
/** Reads the body of an upload to its end. */
export type Receive = (boundary: string) => Promise<Received>;

/**
 * What pveproxy and pvedaemon do with a request, in their order: route, credentials, privileges, the way to the node,
 * parameters, code (PVE::HTTPServer rest_handler).
 */
export async function answer(
  cluster: Cluster,
  routes: RouteTable,
  parse: Parse,
  headers: Readonly<Record<string, string>>,
  receive: Receive,
): Promise<WireReply> {
  try {
    cluster.catchUp();
    let request = parse();
    const match = routes.find(request.method, request.path);
    const identity = match?.route.open
      ? stranger
      : authenticate(cluster.world, headers, request, cluster.now);
    if (!match) throw notImplemented(request.method, request.path);
    if (match.route.ticketOnly && presentsToken(headers)) throw tokenRefused(match.route.path);
    if (request.boundary !== undefined) {
      request = { ...request, body: filed(cluster, await receive(request.boundary)) };
      cluster.catchUp();
    }
    const access = new Access(cluster.world, identity);
    return jsonReply(cluster.now, await carryOut(cluster, match, access, request));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) await cluster.wait(unauthorizedDelayMs);
    return refusalReply(cluster.now, error);
  }
}

async function carryOut(
  cluster: Cluster,
  { route, uri, parameters }: Match,
  access: Access,
  request: ParsedRequest,
): Promise<unknown> {
  const given: Given = { ...request.body, ...request.query };
  const all: Given = { ...given, ...uri };
  route.permission?.(access, scalars(all));
  if (uri["node"] !== undefined && !route.local) reach(cluster, uri["node"]);
  for (const [key, value] of Object.entries(uri)) {
    if (given[key] !== undefined && given[key] !== value) {
      throw badParameters({
        [key]: "duplicate parameter (already defined in URI) with conflicting values!",
      });
    }
  }
  const values = checkParameters(parameters, all);
  return route.handle({ cluster, access, values });
}

/** What an upload becomes: a file in /var/tmp, whose name its handler gets. */
function filed(cluster: Cluster, { given, upload }: Received): Given {
  const name = createHash("md5").update(`${cluster.now} ${cluster.uploads.size}`).digest("hex");
  const tmpfilename = `/var/tmp/pveupload-${name}`;
  cluster.uploads.set(tmpfilename, upload);
  return { ...given, tmpfilename };
}

function tokenRefused(path: string): Refusal {
  return forbidden(`URI '${path}' not available with API token, need proper ticket.\n`);
}

/** PVE::Cluster remote_node_ip and the proxy's connect. */
function reach(cluster: Cluster, name: string): void {
  const node = cluster.world.nodes.get(name);
  const trouble = cluster.world.strangers.get(name);
  if (trouble !== undefined) throw new Refusal(595, trouble, { bare: true });
  if (!node) {
    throw died(
      `hostname lookup '${name}' failed - failed to get address info for: ${name}: Name or service not known`,
    );
  }
  if (!node.online) throw new Refusal(595, "No route to host", { bare: true });
}

function notImplemented(method: Method, path: string): Refusal {
  return new Refusal(501, `Method '${method} ${path}' not implemented`);
}

function scalars(given: Given): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    found[key] = Array.isArray(value) ? value.join(",") : value;
  }
  return found;
}

/** Formatter::Standard: `data` always, `total` beside it unless it is 0. */
function jsonReply(now: number, result: unknown): WireReply {
  if (result instanceof Plain) return reply(now, 200, "OK", result.text);
  const page = result instanceof Page ? result : undefined;
  const total = page && page.total > 0 ? { total: page.total } : {};
  const data = page ? page.data : (result ?? null);
  return reply(now, 200, "OK", JSON.stringify({ data, ...total }));
}

function refusalReply(now: number, refusal: Refusal): WireReply {
  const [reason = ""] = refusal.message.split("\n");
  if (refusal.bare) {
    const silent = refusal.empty || refusal.status === 401 || refusal.status >= 590;
    return reply(now, refusal.status, reason, silent ? "" : refusal.message);
  }
  const message = refusal.status === 501 ? refusal.message : `${refusal.message.trimEnd()}\n`;
  const errors = refusal.errors ? { errors: refusal.errors } : {};
  const body = JSON.stringify({ data: null, message, ...errors });
  return reply(now, refusal.status, reason, body);
}

function reply(now: number, status: number, reason: string, body: string): WireReply {
  const date = new Date(now).toUTCString();
  const json = body.startsWith("{");
  const headers: Record<string, string> = {
    "cache-control": "max-age=0",
    connection: status >= 400 ? "close" : "Keep-Alive",
    date,
    expires: date,
    pragma: "no-cache",
    server: "pve-api-daemon/3.0",
    ...(json ? { "content-type": "application/json;charset=UTF-8" } : {}),
  };
  return { status, reason, headers, body };
}

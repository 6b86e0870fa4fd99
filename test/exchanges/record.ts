import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Transport, WireReply, WireRequest } from "../../src/http/transport.ts";
import type { LoggedRequest } from "../../src/simulator/request-log.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";

/** Names the folder in which every worker writes down what the product's client said and heard; unset: nobody wants to know. */
export const folderVariable = "EXCHANGES_FOLDER";

/** One line of such a file. */
export interface Exchange {
  readonly method: string;
  /** With the query, as it was sent. */
  readonly path: string;
  /** As it was sent; of an upload the parameters before the file, as the simulator understood them. */
  readonly body: unknown;
  readonly contentType: string;
  /** Absent where the answer was not the simulator's own: cut, put into its mouth by a test, or none at all. */
  readonly status?: number;
  readonly response?: unknown;
}

/** Stands for one that was written down already. */
export const again = "again";

/**
 * The same transport; what goes through it is written down. `wrongOnPurpose`: what is answered 400 is what the test wants
 * to see refused, so that only the answer counts.
 */
export function recording(
  inner: Transport,
  simulator: Simulator,
  { wrongOnPurpose = false }: { readonly wrongOnPurpose?: boolean | undefined },
): Transport {
  const folder = process.env[folderVariable];
  if (folder === undefined) return inner;
  const write = writer(folder);
  return {
    ...(inner.trust && { trust: inner.trust }),
    close: () => inner.close(),
    send: async (request) => {
      const mark = simulator.log.mark();
      const { method, path, headers } = request;
      const contentType = headers["content-type"] ?? "";
      const inParts = contentType.startsWith("multipart/");
      let entry: LoggedRequest | undefined;
      let heard: WireReply | undefined;
      try {
        const reply = await inner.send(request);
        entry = simulator.log.since(mark).find((one) => isAnswer(one, request, reply));
        if (entry) heard = reply;
        return reply;
      } finally {
        const body = inParts ? entry?.body : (request.body ?? "");
        const wanted = body !== undefined && !(wrongOnPurpose && heard?.status === 400);
        if (wanted) write({ method, path, body, contentType }, heard);
      }
    },
  };
}

/** Each worker has a file of its own, and each lab remembers what it has written. */
function writer(folder: string) {
  const file = join(folder, `${process.pid}.jsonl`);
  const known = new Set<string>();
  return (asked: Exchange, heard: WireReply | undefined) => {
    const given = { ...asked, ...(heard && { status: heard.status }) };
    const response = heard?.body.startsWith("{") ? heard.body : JSON.stringify(heard?.body || null);
    const line = `${JSON.stringify(given).slice(0, -1)},"response":${response}}`;
    const key = createHash("sha1").update(line).digest("base64");
    appendFileSync(file, `${known.has(key) ? again : line}\n`);
    known.add(key);
  };
}

/** Whether the world answered that request with that, and no planted fault. */
function isAnswer(entry: LoggedRequest, { method, path }: WireRequest, reply: WireReply): boolean {
  const { arrived, status, reason } = entry;
  if (!arrived || entry.method !== method || status !== reply.status) return false;
  return (
    reason === reply.reason &&
    decodeURIComponent(path.split("?")[0] ?? "") === `/api2/json${entry.path}`
  );
}

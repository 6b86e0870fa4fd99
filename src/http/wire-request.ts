import { version } from "../version.ts";
import { encodeForm, encodeMultipart, type Params } from "./form.ts";
import type { ApiPath } from "./path.ts";
import type { FilePart, Method, WireRequest } from "./transport.ts";

export interface ApiRequest {
  readonly method: Method;
  readonly path: ApiPath;
  /** Query of GET and DELETE, form body of POST and PUT. */
  readonly params?: Params;
  /** Sent after `params`, as one multipart body with them. */
  readonly file?: FilePart;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  /** Texts among `params` that must not come back in the words of any problem, not even a piece of them. */
  readonly secrets?: readonly string[];
  /** Called for each attempt that left this process, as soon as that is known. */
  readonly onSend?: () => void;
}

/** A request of ours as the wire has it: parameters in the query or in a form, a file as multipart. Throws as `encodeForm` does. */
export function wireRequest(
  request: ApiRequest,
  credentials: Readonly<Record<string, string>>,
  signal: AbortSignal,
): WireRequest {
  const { method, params = {}, file } = request;
  const headers = {
    accept: "application/json",
    "user-agent": `mcp-server-proxmox/${version}`,
    ...credentials,
  };
  const target = `/api2/json${request.path}`;
  if (file) {
    const { type, stream } = encodeMultipart(params, file);
    return { method, path: target, headers: { ...headers, "content-type": type }, stream, signal };
  }
  const form = encodeForm(params);
  // A body on GET or DELETE is a 501 to PVE (pve-http-server src/PVE/APIServer/AnyEvent.pm).
  if (method === "GET" || method === "DELETE") {
    return { method, path: form === "" ? target : `${target}?${form}`, headers, signal };
  }
  const type = "application/x-www-form-urlencoded";
  return {
    method,
    path: target,
    headers: { ...headers, "content-type": type },
    body: form,
    signal,
  };
}

import { version } from "../version.ts";
import type { ApiRequest } from "./client.ts";
import { encodeForm, encodeMultipart } from "./form.ts";
import type { WireRequest } from "./transport.ts";

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

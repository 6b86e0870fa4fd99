import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  type ListToolsResult,
  type ServerNotification,
  type ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import type { Log } from "../log.ts";
import { oneLine } from "../text.ts";
import { visible } from "./present.ts";
import { progressCounter } from "./progress.ts";
import { type CallProgress, type ToolServer, UnknownTool } from "./server.ts";

/** Who the server says it is. */
export interface ServerInfo {
  readonly name: string;
  readonly version: string;
}

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** What the SDK turns into a JSON-RPC error: it reads `code`, and its own McpError would prefix the words. */
class ProtocolError extends Error {
  readonly code: number;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const paramsShape = z.object({
  name: z.string(),
  arguments: z.record(z.string(), z.unknown()).optional(),
});

/** As the SDK's own schema, but a malformed request is refused in our words instead of a validator's. */
const callRequest = z.object({
  method: z.literal("tools/call"),
  params: z.unknown().transform((params) => {
    const parsed = paramsShape.safeParse(params);
    if (parsed.success) return parsed.data;
    throw new ProtocolError(
      ErrorCode.InvalidParams,
      "A tools/call request needs a name (string) and may have arguments (an object).",
    );
  }),
});

/** The tools on the SDK's low-level server: protocol revisions up to 2025-11-25. */
export function createSdkServer(tools: ToolServer, info: ServerInfo, log: Log): Server {
  const { instructions } = tools;
  const server = new Server({ ...info }, { capabilities: { tools: {} }, instructions });
  server.onerror = (error) => log.warn("protocol_error", { error });
  server.oninitialized = () => tools.connected();
  server.setRequestHandler(ListToolsRequestSchema, () => listResult(tools));
  server.setRequestHandler(callRequest, async ({ params }, extra: Extra) => {
    const progress = progressSender(extra, log);
    try {
      const request = { signal: extra.signal, progress };
      return callResult(await tools.call(params.name, params.arguments ?? {}, request));
    } catch (error) {
      if (error instanceof UnknownTool)
        throw new ProtocolError(ErrorCode.InvalidParams, error.message);
      throw error;
    }
  });
  return server;
}

/** Copies, because the SDK's types are mutable and ours are not. */
function listResult(tools: ToolServer): ListToolsResult {
  return {
    tools: tools.list().map(({ inputSchema, outputSchema, ...tool }) => ({
      ...tool,
      inputSchema: { ...inputSchema, type: "object" as const },
      outputSchema: { ...outputSchema, type: "object" as const },
    })),
  };
}

function callResult({ content, ...rest }: Awaited<ReturnType<ToolServer["call"]>>): CallToolResult {
  return { ...rest, content: [...content] };
}

/** Undefined unless the caller asked for progress by a token. */
function progressSender(extra: Extra, log: Log): ((progress: CallProgress) => void) | undefined {
  const progressToken = extra._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  const next = progressCounter();
  return ({ done, message }) => {
    const step = next(done);
    if (step === undefined || extra.signal.aborted) return;
    const params = { progressToken, ...step, message: oneLine(visible(message), 200) };
    extra
      .sendNotification({ method: "notifications/progress", params })
      .catch((error: unknown) => log.debug("progress_lost", { error }));
  };
}

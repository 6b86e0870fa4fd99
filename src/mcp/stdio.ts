import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { format } from "node:util";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import type { Log } from "../log.ts";

export interface StdioOptions {
  readonly server: Server;
  /** Releases what keeps the process alive: sockets, watchers. */
  readonly close: () => Promise<void>;
  readonly log: Log;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Longer than this nobody waits for a server that was told to stop. */
const graceMs = 2_000;

/**
 * Serves one client on stdin and stdout, and ends the process with code 0 when the client goes (stdin ends, stdout breaks)
 * or a signal asks for it. Calls in flight are aborted then.
 */
export async function serveStdio({ server, close, log }: StdioOptions): Promise<void> {
  protectStdout(log);
  const stop = stopper(server, close, log);
  process.stdin.once("end", () => stop("stdin ended", 0));
  process.stdin.once("close", () => stop("stdin closed", 0));
  process.stdin.on("error", () => stop("stdin broke", 0));
  process.stdout.on("error", () => stop("stdout broke", 0));
  // A reader of the log may go first; a log line that cannot be written must not end the server.
  process.stderr.on("error", () => undefined);
  for (const signal of signals) process.on(signal, () => stop(signal, 0));
  process.on("unhandledRejection", (error) => log.error("unhandled_rejection", { error }));
  process.on("uncaughtException", (error) => {
    log.error("uncaught_exception", { error });
    stop("a fault of this server", 1);
  });
  // A message beyond the SDK's size limit closes the transport: without this the process would only look alive.
  server.onclose = () => stop("the transport was closed, as after a message that is too long", 1);
  await server.connect(new StdioServerTransport());
  log.info("serving", { transport: "stdio" });
}

/** The first reason wins; what follows from it (closing closes the transport) is no news. */
function stopper(server: Server, close: () => Promise<void>, log: Log) {
  let stopping = false;
  return (reason: string, code: number): void => {
    if (stopping) return;
    stopping = true;
    log.info("stopping", { reason });
    const released = (async () => {
      // Answers that are ready leave before the calls that are not are aborted.
      await new Promise(setImmediate);
      await server.close();
      await close();
      await flushed();
    })().catch((error: unknown) => log.warn("close_failed", { error }));
    void Promise.race([released, sleep(graceMs)]).then(() => process.exit(code));
  };
}

function flushed(): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.destroyed || process.stdout.writableLength === 0) resolve();
    else process.stdout.write("", () => resolve());
  });
}

const consoleMethods = ["log", "info", "debug", "warn", "error", "trace", "dir", "table"] as const;

/** A dependency that prints would break the protocol: whatever is printed becomes a log event instead. */
function protectStdout(log: Log): void {
  const printed = (...words: unknown[]) => log.debug("printed", { text: format(...words) });
  Object.assign(
    globalThis.console,
    Object.fromEntries(consoleMethods.map((name) => [name, printed])),
  );
}

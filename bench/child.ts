import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";

export interface ChildOptions {
  /** A script of the build, relative to this one. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const newline = 10;

interface Answer {
  readonly result?: {
    readonly isError?: boolean;
    readonly structuredContent?: Readonly<Record<string, unknown>>;
  };
  readonly error?: unknown;
}

/** A server in a process of its own, spoken to line by line: a client that costs next to nothing, so that the server's cost is seen. */
export class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (line: Buffer) => void>();
  #rest: Buffer = Buffer.alloc(0);
  #id = 0;
  #stderr = "";

  constructor({ script, args = [], env = {} }: ChildOptions) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.#process = spawn(process.execPath, [...args, path], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#process.stderr?.on("data", (chunk) => {
      this.#stderr += String(chunk);
    });
    this.#process.stdout?.on("data", (chunk: Buffer) => this.#take(chunk));
  }

  /** What it has said on stderr. */
  get stderr(): string {
    return this.#stderr;
  }

  async open(): Promise<void> {
    const clientInfo = { name: "bench", version: "1" };
    await this.#ask("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo });
    this.#write({ method: "notifications/initialized" });
  }

  /** The line that answers; not parsed, as that would be the client's cost. */
  send(name: string, args: Readonly<Record<string, unknown>>): Promise<Buffer> {
    return this.#ask("tools/call", { name, arguments: args });
  }

  /** The structured answer. Throws where it is an error. */
  async call(name: string, args: Readonly<Record<string, unknown>> = {}) {
    const line = await this.send(name, args);
    const { result, error } = JSON.parse(line.toString()) as Answer;
    if (!result || result.isError || error) {
      throw new Error(`${name}: ${line.toString("utf8", 0, 500)}`);
    }
    return result.structuredContent ?? {};
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "close");
    this.#process.stdin?.end();
    await ended;
  }

  /** The id stands at the end of a line. */
  #take(chunk: Buffer): void {
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = all.indexOf(newline); end >= 0; end = all.indexOf(newline, start)) {
      const line = all.subarray(start, end);
      const id = Number(
        /"id":(\d+)}$/.exec(line.toString("latin1", Math.max(0, line.length - 30)))?.[1],
      );
      this.#waiting.get(id)?.(line);
      this.#waiting.delete(id);
      start = end + 1;
    }
    this.#rest = all.subarray(start);
  }

  #ask(method: string, params: Readonly<Record<string, unknown>>): Promise<Buffer> {
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#write({ id, method, params });
    });
  }

  #write(message: Readonly<Record<string, unknown>>): void {
    this.#process.stdin?.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }
}

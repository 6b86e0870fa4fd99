#!/usr/bin/env node
import process from "node:process";
import * as v8 from "node:v8";

keepSmall();
// Not before: while hundreds of modules are loaded V8 makes room for garbage that it never gives back.
const { serve } = await import("./serve.ts");
await serve();

/**
 * Left alone, V8 keeps 32 MiB for what is young, and lets the heap grow to four times of what is alive before it looks for garbage:
 * with thousands of guests that would be most of this process. The other runtimes have engines or ways of their own.
 */
function keepSmall(): void {
  const { bun, deno } = process.versions;
  if (bun !== undefined || deno !== undefined) return;
  v8.setFlagsFromString("--semi-space-growth-factor=1");
  v8.setFlagsFromString("--heap-growing-percent=50");
}

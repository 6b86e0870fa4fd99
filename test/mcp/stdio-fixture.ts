import { createLog } from "../../src/log.ts";
import { createSdkServer } from "../../src/mcp/sdk-v1.ts";
import { serveStdio } from "../../src/mcp/stdio.ts";
import { toolServer } from "./kit.ts";

// A timer that would keep the process alive for ever, as a socket or a watcher does.
const alive = setInterval(() => undefined, 1_000);
const log = createLog({ write: (line) => process.stderr.write(line), secrets: [], level: "debug" });
const tools = toolServer(log);

await serveStdio({
  server: createSdkServer(tools, { name: "fixture", version: "1" }, log),
  close: async () => {
    log.info("closed");
    if (process.argv.includes("--never-closes")) await new Promise(() => undefined);
    clearInterval(alive);
  },
  log,
});

// biome-ignore lint/suspicious/noConsole: a stray print is what is tested
console.log("stray words");

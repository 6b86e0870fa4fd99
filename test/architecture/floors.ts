import { folders } from "./proxmox.ts";
import type { Import } from "./sources.ts";

/** What a file of a floor may import besides `node:` and files of its own folder. The longest `at` that fits counts. */
interface Floor {
  readonly at: string;
  /** A trailing slash means the whole folder. */
  readonly uses: readonly string[];
  /** Imported as types only. */
  readonly types?: readonly string[];
}

export const sdk = "@modelcontextprotocol/sdk/";
const ground = ["src/problem.ts", "src/text.ts"];
const root = { uses: ["src/", "tools/"] };

const floors: readonly Floor[] = [
  { at: "src/main.ts", uses: ["src/serve.ts"] },
  { at: "src/serve.ts", ...root },
  // A client of the server as well.
  { at: "src/demo.ts", uses: [...root.uses, sdk] },
  {
    at: "src/assembly.ts",
    uses: ["src/each.ts", "src/guard/", "src/mcp/server.ts", "src/proxmox/api/call.ts"],
    types: ["src/clock.ts", "src/files.ts", "src/log.ts", "src/proxmox/client.ts", "src/tool.ts"],
  },
  { at: "src/docs.ts", uses: ["src/config.ts", "zod"], types: ["src/tool.ts"] },
  {
    at: "src/config.ts",
    uses: [...ground, "src/ages.ts", "src/credentials.ts", "src/urls.ts", "zod"],
    types: ["src/proxmox/api/freshness.ts"],
  },
  { at: "src/urls.ts", uses: ["src/text.ts"], types: ["src/credentials.ts"] },
  // The one table of ages says what can be set.
  {
    at: "src/ages.ts",
    uses: ["src/proxmox/api/freshness.ts", "src/text.ts"],
    types: ["src/credentials.ts"],
  },
  {
    at: "src/mcp/",
    uses: [...ground, "src/log.ts", "zod"],
    types: ["src/clock.ts", "src/tool.ts"],
  },
  { at: "src/mcp/sdk-", uses: [...ground, "src/mcp/", sdk, "zod"], types: ["src/log.ts"] },
  { at: "src/mcp/stdio.ts", uses: [sdk], types: ["src/log.ts"] },
  {
    at: "tools/",
    // What Proxmox knows reaches a tool by its context; from the floors below it takes types only.
    uses: [...ground, "src/tool.ts", "src/each.ts", "zod"],
    types: ["src/proxmox/"],
  },
  { at: "src/guard/", uses: ground },
  {
    at: "src/tool.ts",
    uses: [],
    types: ["src/each.ts", "src/files.ts", "src/guard/confirm.ts", "src/proxmox/", "zod"],
  },
  {
    at: "src/connections.ts",
    uses: ["src/http/client.ts", "src/proxmox/"],
    types: ["src/clock.ts", "src/http/"],
  },
  // Puts the folders together.
  {
    at: "src/proxmox/",
    uses: ["src/cache/"],
    types: ["src/clock.ts", "src/http/client.ts", "src/problem.ts"],
  },
  ...Object.entries(folders).map(([name, below]) => ({
    at: `src/proxmox/${name}/`,
    uses: [
      ...ground,
      ...below.map((one) => `src/proxmox/${one}/`),
      "src/each.ts",
      "src/http/path.ts",
      // Failed tasks and lists that are too short tell of a lacking privilege too.
      "src/http/permission.ts",
      "async-mutex",
      "lru-cache",
    ],
    types: ["src/cache/", "src/clock.ts", "src/http/client.ts", "src/http/transport.ts"],
  })),
  {
    at: "src/http/",
    uses: [...ground, "src/version.ts", "async-mutex"],
    types: ["src/clock.ts"],
  },
  // By this path and no other: Bun answers the bare name with a stub of its own.
  {
    at: "src/http/undici-transport.ts",
    uses: ["src/http/", "src/problem.ts", "src/version.ts", "undici/index.js"],
  },
  { at: "src/cache/", uses: ["src/problem.ts", "lru-cache"] },
  // Beside the floors: codecs shared with src/proxmox would hide shared mistakes.
  { at: "src/simulator/", uses: ["src/http/transport.ts"], types: ["src/clock.ts"] },
  { at: "src/each.ts", uses: ["src/problem.ts"] },
  { at: "src/files.ts", uses: ground },
  ...["problem", "text", "clock", "credentials", "log", "version"].map((name) => ({
    at: `src/${name}.ts`,
    uses: [],
  })),
];

/** Whether a file may import that; a file without a floor may import nothing. */
export function allowed(path: string, { of, typeOnly }: Import): boolean {
  if (of.startsWith("node:")) return true;
  const floor = floors
    .filter(({ at }) => (at.endsWith(".ts") ? path === at : path.startsWith(at)))
    .reduce<Floor | undefined>(
      (best, next) => (best && best.at.length > next.at.length ? best : next),
      undefined,
    );
  if (!floor) return false;
  const own = floor.at.endsWith("/") ? [floor.at] : [];
  const uses = [...floor.uses, ...own, ...(typeOnly ? (floor.types ?? []) : [])];
  return uses.some((one) => (one.endsWith("/") ? of.startsWith(one) : of === one));
}

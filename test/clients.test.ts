import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const readme = read("README.md");
const snippets = [...readme.matchAll(/```json\n(.*?)```/gs)].map(([, text = ""]) =>
  JSON.parse(text),
);
const demo = { type: "stdio", command: "node", args: ["dist/src/main.js", "--demo"] };

test.each([
  ["mcp.json", "mcpServers"],
  [".mcp.json", "mcpServers"],
  [".cursor/mcp.json", "mcpServers"],
  [".vscode/mcp.json", "servers"],
])("%s starts the built server on the embedded cluster, under %s", (path, key) => {
  expect(JSON.parse(read(path))).toEqual({ [key]: { proxmox: demo } });
  expect(readme).toContain(`\`${path}\``);
});

test("the README shows mcp.json word for word", () => {
  expect(readme).toContain(`\`\`\`json\n${read("mcp.json")}\`\`\``);
});

test("what the README says for a real cluster is the same for every client", () => {
  const [shown, any, code] = snippets;
  expect(snippets).toHaveLength(3);
  expect(shown.mcpServers.proxmox).toEqual(demo);
  const { env, ...server } = any.mcpServers.proxmox;
  const { env: codeEnv, ...codeServer } = code.servers.proxmox;
  expect(server).toEqual({ ...demo, args: ["/path/to/mcp-server-proxmox/dist/src/main.js"] });
  expect(codeServer).toEqual(server);
  const { PROXMOX_TOKEN_SECRET_FILE, ...rest } = env;
  expect(codeEnv).toEqual({ ...rest, PROXMOX_TOKEN_SECRET: `\${input:${code.inputs[0].id}}` });
  const command = /claude mcp add .*?\n```/s.exec(readme)?.[0] ?? "";
  for (const [name, value] of Object.entries(env)) {
    expect(command.replaceAll("'", "")).toContain(`-e ${name}=${value} `);
  }
  expect(command).toContain(`-- ${server.command} ${server.args.join(" ")}\n`);
});

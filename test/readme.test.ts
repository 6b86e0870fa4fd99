import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { ageKinds } from "../src/ages.ts";
import { metaOf, settings } from "../src/config.ts";
import { configurationTable, replaceSection, toolsTables } from "../src/docs.ts";
import { problemKinds } from "../src/problem.ts";
import { type Age, type AgeKind, defaultAges } from "../src/proxmox/api/freshness.ts";
import { demoWorld } from "../src/simulator/demo.ts";
import { addToken } from "../src/simulator/world-builder.ts";
import { duration } from "../src/text.ts";
import { toolsets } from "../tools/index.ts";
import { type Certificate, certificate } from "./certificate.ts";
import { lab, tools } from "./kit.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = `${root}README.md`;
const readme = readFileSync(file, "utf8");

/** Complete by its type: an age without words does not compile. */
const ageWords: Readonly<Record<Exclude<AgeKind, "never">, string>> = {
  inventory: "where guests are, their names, tags, pools, nodes, storages",
  guestStatus: "a guest's live state",
  guestConfig: "a guest's configuration, pending changes, snapshots",
  guestAgent: "what the guest agent says: addresses, OS, file systems",
  nodeStatus: "a node's load and versions",
  clusterStatus: "quorum, HA",
  storageContent: "backups of a guest",
  jobs: "backup jobs, HA resources, firewall rules",
  certificates: "certificates of nodes",
  permissions: "what the token may do",
  version: "versions of Proxmox",
  metrics: "what was recorded of use, once a minute",
  tasks: "lists of tasks",
  stoppedTask: "a task that has ended",
};

function agesTable(): string {
  const time = (ms: number) => (Number.isFinite(ms) ? duration(ms / 1000) : "for good");
  const rows = Object.entries(ageWords).map(([kind, words]) => {
    const age: Age = defaultAges[kind as AgeKind];
    const name = ageKinds.includes(kind as AgeKind) ? `\`${kind}\`` : "";
    const swept = age.swept ? time(age.keptMs) : "";
    return `| ${words} | ${name} | ${time(age.trustedMs)} | ${swept} | ${time(age.keptMs)} |`;
  });
  return [
    "| What | In `--ages` | Trusted for | Kept while sweeps find nothing | With `max_age_s` up to |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** The end of the demo as a person without a terminal's colours sees it; it must end well. */
function demoEnd(): string {
  const shown = execFileSync(process.execPath, ["--import", "tsx", "src/demo.ts"], {
    cwd: root,
    encoding: "utf8",
  });
  return `\`\`\`text\n${shown.slice(shown.indexOf("== Many at once")).trim()}\n\`\`\``;
}

test("its generated parts are those of this version (UPDATE=1 writes them)", () => {
  const parts = {
    demo: demoEnd(),
    configuration: configurationTable(),
    tools: toolsTables(toolsets),
    ages: agesTable(),
  };
  let wanted = readme;
  for (const [name, body] of Object.entries(parts)) wanted = replaceSection(wanted, name, body);
  if (process.env["UPDATE"]) writeFileSync(file, wanted);
  else expect(readme).toBe(wanted);
}, 30_000);

test("the table of errors has every kind, in order, and no other", () => {
  const section = readme.slice(readme.indexOf("## Errors"), readme.indexOf("## Security"));
  const kinds = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind);
  expect(kinds).toEqual([...problemKinds]);
});

test("every variable it names is one that this version reads", () => {
  const known = settings
    .keyof()
    .options.map(metaOf)
    .filter(({ later }) => later === undefined)
    .flatMap(({ env = "", secret }) => (secret ? [env, `${env}_FILE`] : [env]));
  const named = new Set(readme.match(/PROXMOX_\w+/g));
  expect(named.size).toBeGreaterThan(5);
  expect([...named].filter((name) => !known.includes(name))).toEqual([]);
});

test("the commands and files it names are there", () => {
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const run = [...readme.matchAll(/npm (?:run )?(demo|test|dev|check|smoke)\b/g)];
  expect(new Set(run.map(([, name]) => name)).size).toBe(5);
  for (const [, name = ""] of run) expect(scripts).toHaveProperty(name);
  for (const [, link = ""] of readme.matchAll(/\]\(([^)]+)\)/g)) {
    expect(existsSync(root + link), link).toBe(true);
  }
  for (const command of ["npm ci && npm run demo", "npm ci && npm test"]) {
    expect(readme).toContain(`\n\`\`\`sh\n${command}\n\`\`\`\n`);
  }
});

describe("the role it tells to make", () => {
  const base = /^pveum role add MCPAgent --privs (\S+)$/m.exec(readme)?.[1]?.split(",") ?? [];
  const added = /^# (\w+).*\n(?:#.*\n)*pveum role modify MCPAgent --append 1 --privs (\S+)$/gm;
  const additions = [...readme.matchAll(added)].map(([, tool = "", more = ""]) => ({
    tool,
    more: more.split(","),
  }));
  let pem: Certificate;

  beforeAll(async () => {
    pem = await certificate("pve1.lab.example");
  });

  /** A server whose token's user has this role on /, and what its tools have answered. */
  async function start(role: readonly string[] | "Administrator") {
    const token = { tokenId: "mcp@pve!agent", secret: "55555555-eeee-4eee-8eee-000000000005" };
    const world = demoWorld(Date.UTC(2026, 0, 1, 12));
    world.web.set("https://mirror.example/tiny.iso", { sizeBytes: 1024, bytes: "tiny" });
    if (role !== "Administrator") world.roles.set("MCPAgent", new Set(role));
    const roles = { "/": role === "Administrator" ? role : "MCPAgent" };
    addToken(world, { id: token.tokenId, secret: token.secret, roles });
    const server = await lab({
      world: { ...world, pciMappings: new Set(["gpu"]) },
      token,
      tools,
    });
    const answers: unknown[] = [];
    const call = async (name: string, args: Record<string, unknown> = {}) => {
      const { kind, data } = await server.call(name, args);
      answers.push([name, kind, data]);
    };
    return { server, answers, call };
  }

  /** What the tools answer, as far as privileges decide it. */
  async function daily(role: readonly string[] | "Administrator"): Promise<unknown> {
    const { server, answers, call } = await start(role);
    await call("list_guests", { pool: "staging" });
    await call("get_cluster");
    await call("get_node", { node: "pve1" });
    await call("list_storage", { storage: "nfs-shared" });
    await call("list_certificates");
    await call("get_vm", { vm: "web-1", include: ["agent", "backups", "snapshots", "ha"] });
    await call("get_container", { container: "dns-1", include: ["agent", "firewall"] });
    await call("get_tasks", { node: "pve1" });
    server.simulator.outside.setConfig(101, { cores: "7" });
    await server.clock.advance(11_000);
    await call("get_vm", { vm: "web-1" });
    await call("clone_vm", { vm: "web-1", name: "new-1", full: true, start: true });
    await call("clone_container", { container: "debian-13-ct-template", name: "new-2" });
    await call("list_guests", { managed: true });
    await call("create_snapshot", { guest: "web-2", prefix: "nightly-", keep: 1 });
    await call("create_snapshot", { guest: "web-2", prefix: "nightly-", keep: 1 });
    await call("rollback_snapshot", { guest: "wiki", name: "before-upgrade", confirm: "wiki" });
    await call("delete_snapshot", { guest: "wiki", name: "before-upgrade", confirm: "wiki" });
    await call("stop_guest", { guest: "web-2" });
    await call("start_guest", { guest: "web-2" });
    const iso = "nfs-shared:iso/virtio-win-0.1.285.iso";
    const machine = { cores: 2, memory: 1024, machine: "q35", user: "a", nics: ["vmbr0"] };
    await call("create_vm", { name: "new-3", iso, disks: ["local-lvm:1"], ...machine });
    const template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
    await call("create_container", { name: "new-4", template, rootfs: "local-lvm:1" });
    for (const set of [{ cores: 4 }, { memory: 2048 }, { net0: "tag=7" }, { ciuser: "b" }]) {
      await call("update_guest", { guest: "new-3", set });
    }
    await call("attach_disk", { guest: "new-3", size: "1G", storage: "local-lvm" });
    await call("create_backup", { guest: "new-3", storage: "nfs-shared" });
    await call("restore_backup", { guest: "new-3", confirm: "new-3" });
    await call("delete_guest", { guest: "staging-web-2", confirm: "staging-web-2" });
    const backup = "nfs-shared:backup/vzdump-qemu-101-2025_12_31-02_10_41.vma.zst";
    await call("delete_storage_content", { volume: backup, confirm: backup });
    await call("get_tasks", { guest: "web-2" });
    return answers;
  }

  /** What one of the tools that need more answers. */
  async function rare(tool: string, role: readonly string[] | "Administrator"): Promise<unknown> {
    const { answers, call } = await start(role);
    const volume = "nfs-shared:iso/virtio-win-0.1.285.iso";
    const url = "https://mirror.example/tiny.iso";
    if (tool === "migrate_guest") await call(tool, { guest: "dns-1", target: "pve2" });
    if (tool === "update_guest")
      await call(tool, { guest: "build-2", set: { hostpci0: "mapping=gpu" } });
    if (tool === "download_storage")
      await call(tool, { storage: "nfs-shared", url, content: "iso" });
    if (tool === "delete_storage_content") await call(tool, { volume, confirm: volume });
    if (tool === "create_certificate") {
      await call(tool, { node: "pve1", certificate: pem.cert, key: pem.key });
      await call("delete_certificate", { node: "pve1" });
    }
    return answers;
  }

  test("is enough for the daily life", async () => {
    expect(base.length).toBeGreaterThan(5);
    expect(await daily(base)).toEqual(await daily("Administrator"));
  });

  test.each(base)("needs %s", async (without) => {
    const less = base.filter((privilege) => privilege !== without);
    expect(await daily(less)).not.toEqual(await daily(base));
  });

  test.each(additions)("needs all of $more for $tool", async ({ tool, more }) => {
    const wanted = await rare(tool, "Administrator");
    expect((wanted as unknown[][])[0]?.slice(0, 2)).toEqual([tool, ""]);
    expect(await rare(tool, [...base, ...more])).toEqual(wanted);
    for (const without of more) {
      const less = [...base, ...more].filter((privilege) => privilege !== without);
      expect(await rare(tool, less)).not.toEqual(wanted);
    }
  });

  test("tells of five such tools", () => {
    expect(additions).toHaveLength(5);
  });
});

import { parseArgs } from "node:util";
import * as z from "zod";
import { readAges } from "./ages.ts";
import { type Credentials, type Refuse, readCredentials, secretsOf } from "./credentials.ts";
import { Problem } from "./problem.ts";
import type { Ages } from "./proxmox/api/freshness.ts";
import { closest, count, list, oneLine, unquoted } from "./text.ts";
import { readUrls } from "./urls.ts";

/** Where a setting comes from and what it is for: what `--help`, the README and the errors are made of. */
export interface SettingMeta {
  readonly words: string;
  readonly env?: string;
  readonly flag?: string;
  readonly example?: string;
  /** Its value never appears anywhere; `<env>_FILE` may name a file that holds it. */
  readonly secret?: boolean;
  /** Reserved for a later version: what to do instead. */
  readonly later?: string;
}

/** The metadata of each field of `settings`. */
const settingMeta = z.registry<SettingMeta>();

function value(meta: SettingMeta) {
  return z.string().optional().register(settingMeta, meta);
}

function flag(name: string, words: string) {
  return z.boolean().default(false).register(settingMeta, { flag: name, words });
}

/** Every setting as it is written down; `readConfig` makes a Config of it. */
export const settings = z.object({
  url: value({
    env: "PROXMOX_URL",
    words: "Address: a URL, a bare host (port 8006), or several hosts of one cluster with commas.",
    example: "https://pve1.example:8006",
  }),
  tokenId: value({ env: "PROXMOX_TOKEN_ID", words: "API token id.", example: "mcp@pve!agent" }),
  tokenSecret: value({ env: "PROXMOX_TOKEN_SECRET", words: "Its secret.", secret: true }),
  username: value({
    env: "PROXMOX_USERNAME",
    words: "Instead of a token: a user with its realm.",
    example: "mcp@pve",
  }),
  password: value({ env: "PROXMOX_PASSWORD", words: "Its password.", secret: true }),
  caFile: value({ env: "PROXMOX_CA_FILE", words: "PEM file of the authority to trust." }),
  fingerprint: value({
    env: "PROXMOX_FINGERPRINT",
    words:
      "SHA-256 fingerprint of a host's certificate as Proxmox VE shows it; several with commas.",
    example: "AB:CD:…",
  }),
  insecure: value({
    env: "PROXMOX_INSECURE",
    words: "Takes any certificate: whoever sits between can then read the token.",
    example: "1",
  }),
  demo: flag("--demo", "Serves a simulated cluster; needs no other setting."),
  readOnly: flag("--read-only", "Offers only tools that change nothing."),
  toolsets: value({
    flag: "--toolsets",
    words: "Toolsets to offer with commas between, or all (default core).",
    example: "core,disks",
  }),
  files: value({
    flag: "--files",
    words:
      "Directory below which tools may read files: uploads, and keys and certificates that pass no model.",
    example: "/etc/mcp-files",
  }),
  ages: value({
    flag: "--ages",
    words:
      "Seconds for which kinds of answers are trusted, or trusted/kept (kinds: README, How the memory works).",
    example: "inventory=5,guestConfig=10/300",
  }),
  configFile: value({ flag: "--config", words: "", later: "use the PROXMOX_… variables" }),
  help: flag("--help", "Shows this help."),
  version: flag("--version", "Shows the version."),
});

type Settings = z.output<typeof settings>;
/** A field of `settings`. */
export type SettingName = keyof Settings;

export interface Tls {
  /** PEM text. */
  readonly ca?: string;
  /** SHA-256, `AA:BB:…` in capitals. */
  readonly fingerprints: readonly string[];
  readonly insecure: boolean;
}

export interface Connection {
  /** Origins of the hosts of one cluster, such as `https://pve1:8006`. */
  readonly urls: readonly [string, ...string[]];
  readonly credentials: Credentials;
  readonly tls: Tls;
}

export interface Config {
  /** `help` and `version` want a line printed and nothing else. */
  readonly mode: "serve" | "help" | "version";
  readonly demo: boolean;
  readonly readOnly: boolean;
  readonly toolsets: readonly string[];
  /** The directory below which tools may read files. */
  readonly files?: string;
  /** How long answers are trusted and kept; absent: as they are by default. */
  readonly ages?: Ages;
  /** Absent with `--demo`, `--help` and `--version`. */
  readonly connection?: Connection;
  /** Not wrong enough to stop for; one sentence each. */
  readonly warnings: readonly string[];
  /** For the log and the presenter: none of these may leave the process. */
  readonly secrets: readonly string[];
}

export interface ConfigSource {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Without the runtime and the script. */
  readonly argv: readonly string[];
  readonly readFile: (path: string) => string;
  /** Whether there is such a directory; taken for granted without it. */
  readonly isDirectory?: (path: string) => boolean;
  /** Names of the toolsets there are; others are refused. */
  readonly toolsets?: readonly string[];
}

/** Reads flags and environment. Throws one invalid_input that names every wrong or missing setting and its remedy. */
export function readConfig(source: ConfigSource): Config {
  const problems: string[] = [];
  const refuse: Refuse = (problem) => void problems.push(problem);
  const { demo, readOnly, help, version, ...flags } = readFlags(source.argv, refuse);
  const mode = help ? "help" : version ? "version" : "serve";
  const toolsets = readToolsets(flags.toolsets, source.toolsets, refuse);
  const named = { mode, demo, readOnly, toolsets } as const;
  if (mode !== "serve") return { ...named, warnings: [], secrets: [] };
  const files = readFiles(flags.files, source, refuse);
  const ages = flags.ages === undefined ? undefined : readAges(flags.ages, refuse);
  const served = { ...named, ...(files !== undefined && { files }), ...(ages && { ages }) };
  const connection = demo ? undefined : readConnection(source, refuse);
  const warnings = demo ? [] : warningsOf(source.env, connection);
  if (problems.length > 0) throw refusal(problems, warnings);
  if (connection === undefined) return { ...served, warnings, secrets: [] };
  return { ...served, connection, warnings, secrets: secretsOf(connection.credentials) };
}

function refusal(problems: readonly string[], warnings: readonly string[]): Problem {
  const lines = [...problems, ...warnings].map((line) => `\n  - ${line}`).join("");
  const next =
    "Set them where your MCP client starts this server; --demo starts it without a cluster.";
  const message = `${count(problems.length, "setting")} to put right:${lines}\n`;
  return new Problem("invalid_input", message, { next, facts: { problems, warnings } });
}

/** What is known of a setting. */
export function metaOf(name: SettingName): SettingMeta {
  return settingMeta.get(settings.shape[name]) ?? { words: "" };
}

const names: readonly SettingName[] = settings.keyof().options;

function readFlags(argv: readonly string[], refuse: Refuse): Settings {
  const known = new Map(names.map((name) => [metaOf(name).flag ?? "", name]));
  const types = [...known].map(([word, name]) => [word.slice(2), { type: flagType(name) }]);
  const options = Object.fromEntries(types.filter(([word]) => word !== ""));
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const found: Partial<Record<SettingName, string | boolean>> = {};
  for (const token of tokens) {
    // The word itself is not repeated: it may be a secret that was put in the wrong place.
    if (token.kind === "positional") refuse(`Argument ${token.index + 1} belongs to no flag.`);
    if (token.kind !== "option") continue;
    const name = known.get(token.rawName);
    const { later, example } = name === undefined ? {} : metaOf(name);
    const valued = name !== undefined && flagType(name) === "string";
    if (name === undefined) refuse(unknownFlag(token.rawName, [...known.keys()]));
    else if (later !== undefined) refuse(`${token.rawName} is for a later version: ${later}.`);
    else if (valued && list(token.value ?? "").length === 0)
      refuse(`${token.rawName} needs a value, such as ${example}.`);
    else if (!valued && token.value !== undefined) refuse(`${token.rawName} takes no value.`);
    else found[name] = token.value ?? true;
  }
  return settings.catch(settings.parse({})).parse(found);
}

function flagType(name: SettingName): "string" | "boolean" {
  return settings.shape[name] instanceof z.ZodOptional ? "string" : "boolean";
}

function unknownFlag(raw: string, known: readonly string[]): string {
  const [near = "--help"] = closest(raw, known, 1);
  return `There is no flag ${oneLine(raw, 40)}; try ${near}.`;
}

/** What runs commands in guests is never part of `all`: it must be asked for by name. */
function readToolsets(raw = "core", known: readonly string[] = [], refuse: Refuse): string[] {
  const all = known.length === 0 ? ["all"] : known.filter((name) => name !== "agent");
  const wanted = new Set(list(raw).flatMap((name) => (name === "all" ? all : name)));
  for (const name of known.length === 0 ? [] : wanted) {
    if (known.includes(name)) continue;
    refuse(`--toolsets: there is no ${oneLine(name, 40)}. There are all, ${known.join(", ")}.`);
  }
  return [...wanted];
}

function readFiles(raw: string | undefined, { isDirectory }: ConfigSource, refuse: Refuse) {
  const path = unquoted(raw);
  if (path === undefined || !isDirectory || isDirectory(path)) return path;
  return refuse(`--files: there is no directory ${oneLine(path, 200)}.`);
}

type Read = (name: SettingName) => string | undefined;

function readConnection(source: ConfigSource, refuse: Refuse): Connection | undefined {
  const read: Read = (name) => readSetting(metaOf(name), source, refuse);
  const urls = readUrls(read("url"), refuse);
  const [tokenId, tokenSecret] = [read("tokenId"), read("tokenSecret")];
  const [username, password] = [read("username"), read("password")];
  const credentials = readCredentials({ tokenId, tokenSecret, username, password }, refuse);
  const tls = readTls(read, source, refuse);
  const [first, ...rest] = urls;
  if (first === undefined || credentials === undefined) return undefined;
  return { urls: [first, ...rest], credentials, tls };
}

/** Trimmed, without quotes around it; an empty value and an unexpanded `${…}` count as missing. */
function readSetting(meta: SettingMeta, source: ConfigSource, refuse: Refuse): string | undefined {
  const { env: name = "", secret = false } = meta;
  const given = unquoted(source.env[name]);
  const file = secret ? unquoted(source.env[`${name}_FILE`]) : undefined;
  const [where, raw] = given === undefined ? [`${name}_FILE`, file] : [name, given];
  if (given !== undefined && file !== undefined) refuse(`Set ${name} or ${name}_FILE, not both.`);
  if (raw === undefined) return undefined;
  if (/\$\{[^}]*\}/u.test(raw)) {
    return refuse(`${where} holds an unexpanded \${…}: write the value itself.`);
  }
  return given ?? unquoted(readText(where, raw, source, refuse));
}

function readText(name: string, path: string, source: ConfigSource, refuse: Refuse) {
  try {
    const text = source.readFile(path).trim();
    return text === "" ? refuse(`${name}: ${path} is empty.`) : text;
  } catch (error) {
    const why = error instanceof Error && "code" in error ? ` (${error.code})` : "";
    return refuse(`${name}: ${path} cannot be read${why}.`);
  }
}

function readTls(read: Read, source: ConfigSource, refuse: Refuse): Tls {
  const file = read("caFile");
  const ca = file && readText("PROXMOX_CA_FILE", file, source, refuse);
  if (ca && !ca.includes("-----BEGIN CERTIFICATE-----"))
    refuse(`PROXMOX_CA_FILE: no certificate in ${file}.`);
  const given = list(read("fingerprint") ?? "");
  const fingerprints = given.flatMap((item) => readFingerprint(item, refuse) ?? []);
  const word = read("insecure")?.toLowerCase() ?? "0";
  if (!/^(?:[01]|true|false|yes|no|on|off)$/u.test(word))
    refuse("PROXMOX_INSECURE must be 1 or 0.");
  const insecure = /^(?:1|true|yes|on)$/u.test(word) && fingerprints.length === 0;
  return { ...(ca && { ca }), fingerprints, insecure };
}

function readFingerprint(raw: string, refuse: Refuse): string | undefined {
  const digits = raw.replace(/^sha-?256[:=]|:/giu, "").toUpperCase();
  if (/^[0-9A-F]{64}$/u.test(digits)) return digits.replace(/..(?!$)/gu, "$&:");
  return refuse("PROXMOX_FINGERPRINT must be 32 pairs of hex digits (SHA-256).");
}

/** Other variables of that prefix are likely meant for another program, or are a slip. */
function warningsOf(given: ConfigSource["env"], connection: Connection | undefined): string[] {
  const known = names
    .map((name) => metaOf(name))
    .flatMap(({ env = "", secret }) => (secret ? [env, `${env}_FILE`] : env));
  const strangers = Object.keys(given).filter(
    (name) => name.startsWith("PROXMOX_") && !known.includes(name),
  );
  const warnings = strangers.map((name) => `${name} is not read by this server.`);
  const bare =
    "PROXMOX_INSECURE: the host's certificate is not checked; PROXMOX_FINGERPRINT is safer.";
  return connection?.tls.insecure ? [bare, ...warnings] : warnings;
}

import { expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { Problem } from "../src/problem.ts";

const secret = "5ca1ab1e-0000-4000-8000-00000000cafe";
const whole = {
  PROXMOX_URL: "https://pve1.example:8006",
  PROXMOX_TOKEN_ID: "mcp@pve!agent",
  PROXMOX_TOKEN_SECRET: secret,
};
const fingerprint = Array.from({ length: 32 }, (_, index) =>
  index.toString(16).padStart(2, "0").toUpperCase(),
).join(":");
const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
const files: Readonly<Record<string, string>> = {
  "/secret": ` ${secret}\n`,
  "/empty": "\n",
  "/ca.pem": `${pem}\n`,
  "/text": "hello",
};

function read(env: Record<string, string | undefined>, argv: readonly string[] = []) {
  return readConfig({
    env,
    argv,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
      return text;
    },
    toolsets: ["core", "disks", "agent"],
  });
}

function refusalOf(env: Record<string, string | undefined>, argv: readonly string[] = []): string {
  try {
    read(env, argv);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    expect(error.kind).toBe("invalid_input");
    expect(JSON.stringify([error.message, error.next, error.facts])).not.toContain(secret);
    return error.message;
  }
  throw new Error("not refused");
}

test("an address and a token are enough", () => {
  expect(read(whole)).toEqual({
    mode: "serve",
    demo: false,
    readOnly: false,
    toolsets: ["core"],
    connection: {
      urls: ["https://pve1.example:8006"],
      credentials: { kind: "token", id: "mcp@pve!agent", secret },
      tls: { fingerprints: [], insecure: false },
    },
    warnings: [],
    secrets: [secret],
  });
});

test.each([
  ["pve1", ["https://pve1:8006"]],
  ["pve1:443", ["https://pve1"]],
  ["pve1:8443", ["https://pve1:8443"]],
  ["https://pve1", ["https://pve1"]],
  ["HTTPS://PVE1:8006/", ["https://pve1:8006"]],
  ["https://pve1:8006/api2/json", ["https://pve1:8006"]],
  ["https://pve1:8006/api2/json/", ["https://pve1:8006"]],
  ["https://pve1:8006/#v1:0:=node%2Fpve1:4:::::::", ["https://pve1:8006"]],
  [" 'pve1' ", ["https://pve1:8006"]],
  ["pve1, https://pve2:8006 ,pve1", ["https://pve1:8006", "https://pve2:8006"]],
  ["192.0.2.1", ["https://192.0.2.1:8006"]],
  ["2001:db8::1", ["https://[2001:db8::1]:8006"]],
  ["[2001:db8::1]:8007", ["https://[2001:db8::1]:8007"]],
])("PROXMOX_URL=%s is understood", (url, urls) => {
  expect(read({ ...whole, PROXMOX_URL: url }).connection?.urls).toEqual(urls);
});

test.each([
  ["http://pve1:8006", /http:\/\/ would send the token in the clear; write https:\/\//],
  ["ftp://pve1", /ftp:\/\//],
  ["https://pve1:8006/pve", /is not an address/],
  ["https://", /is not an address/],
  ["pve1:99999", /is not an address/],
  [`https://root:${secret}@pve1`, /must not hold a login/],
  ["", /PROXMOX_URL is missing/],
  [",", /PROXMOX_URL is missing/],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder itself is what is tested
  ["${PROXMOX_URL}", /PROXMOX_URL holds an unexpanded \$\{…\}/],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
  ["https://${input:host}:8006", /PROXMOX_URL holds an unexpanded/],
])("PROXMOX_URL=%s is refused", (url, words) => {
  expect(refusalOf({ ...whole, PROXMOX_URL: url })).toMatch(words);
});

test.each([
  [{ PROXMOX_TOKEN_ID: `mcp@pve!agent=${secret}`, PROXMOX_TOKEN_SECRET: undefined }],
  [{ PROXMOX_TOKEN_ID: `PVEAPIToken=mcp@pve!agent=${secret}`, PROXMOX_TOKEN_SECRET: undefined }],
  [{ PROXMOX_TOKEN_ID: `mcp@pve!agent=${secret}`, PROXMOX_TOKEN_SECRET: secret }],
  [{ PROXMOX_TOKEN_ID: undefined, PROXMOX_TOKEN_SECRET: `mcp@pve!agent=${secret}` }],
  [{ PROXMOX_TOKEN_SECRET: `PVEAPIToken=mcp@pve!agent=${secret}` }],
  [{ PROXMOX_TOKEN_ID: "'mcp@pve\\!agent'", PROXMOX_TOKEN_SECRET: `"${secret}"` }],
  [{ PROXMOX_TOKEN_SECRET: undefined, PROXMOX_TOKEN_SECRET_FILE: "/secret" }],
  [{ PROXMOX_TOKEN_SECRET: "", PROXMOX_TOKEN_SECRET_FILE: "/secret" }],
])("a token is understood as %j", (env) => {
  const { connection } = read({ ...whole, ...env });
  expect(connection?.credentials).toEqual({ kind: "token", id: "mcp@pve!agent", secret });
});

test.each([
  [{ PROXMOX_TOKEN_ID: undefined }, /PROXMOX_TOKEN_ID is missing/],
  [{ PROXMOX_TOKEN_ID: "root@pam" }, /PROXMOX_TOKEN_ID must be user@realm!name/],
  [{ PROXMOX_TOKEN_ID: "agent" }, /PROXMOX_TOKEN_ID must be user@realm!name/],
  [{ PROXMOX_TOKEN_ID: secret }, /PROXMOX_TOKEN_ID must be user@realm!name/],
  [
    {
      PROXMOX_TOKEN_ID: `other@pve!agent=${secret}`,
      PROXMOX_TOKEN_SECRET: `mcp@pve!agent=${secret}`,
    },
    /name different tokens/,
  ],
  [
    { PROXMOX_TOKEN_SECRET: undefined },
    /PROXMOX_TOKEN_SECRET or PROXMOX_TOKEN_SECRET_FILE is missing/,
  ],
  [{ PROXMOX_TOKEN_SECRET: `${secret}\r\nX: y` }, /PROXMOX_TOKEN_SECRET is not a token's secret/],
  [{ PROXMOX_TOKEN_SECRET: `\${X:-${secret}}` }, /PROXMOX_TOKEN_SECRET holds an unexpanded/],
  [
    { PROXMOX_TOKEN_SECRET_FILE: "/secret" },
    /Set PROXMOX_TOKEN_SECRET or PROXMOX_TOKEN_SECRET_FILE, not both/,
  ],
  [
    { PROXMOX_TOKEN_SECRET: undefined, PROXMOX_TOKEN_SECRET_FILE: "/gone" },
    /PROXMOX_TOKEN_SECRET_FILE: \/gone cannot be read \(ENOENT\)/,
  ],
  [
    { PROXMOX_TOKEN_SECRET: undefined, PROXMOX_TOKEN_SECRET_FILE: "/empty" },
    /PROXMOX_TOKEN_SECRET_FILE: \/empty is empty/,
  ],
])("the credentials %j are refused", (env, words) => {
  expect(refusalOf({ ...whole, ...env })).toMatch(words);
});

const login = {
  PROXMOX_URL: whole.PROXMOX_URL,
  PROXMOX_USERNAME: "mcp@pve",
  PROXMOX_PASSWORD: secret,
};

test.each([
  [{}, "mcp@pve", secret],
  [{ PROXMOX_USERNAME: " 'root@pam' " }, "root@pam", secret],
  [{ PROXMOX_USERNAME: "ann@corp.example@ad" }, "ann@corp.example@ad", secret],
  [{ PROXMOX_PASSWORD: "pass word = ü;&'" }, "mcp@pve", "pass word = ü;&'"],
  [{ PROXMOX_PASSWORD: undefined, PROXMOX_PASSWORD_FILE: "/secret" }, "mcp@pve", secret],
  [{ PROXMOX_TOKEN_ID: "", PROXMOX_TOKEN_SECRET: " " }, "mcp@pve", secret],
])("a login is understood as %j", (env, username, password) => {
  const config = read({ ...login, ...env });
  expect(config.connection?.credentials).toEqual({ kind: "password", username, password });
  expect(config.secrets).toEqual([password]);
  expect(config.warnings).toEqual([]);
});

const both = /^1 setting .*either PROXMOX_TOKEN_ID.*or PROXMOX_USERNAME.*not both/s;

test.each([
  [whole, both],
  [{ PROXMOX_TOKEN_ID: whole.PROXMOX_TOKEN_ID }, both],
  [{ PROXMOX_TOKEN_SECRET_FILE: "/secret" }, both],
  [{ PROXMOX_USERNAME: undefined }, /^1 setting .*PROXMOX_USERNAME is missing: set it to user@/s],
  [{ PROXMOX_USERNAME: "root" }, /^1 setting .*PROXMOX_USERNAME has no realm.*@pam.*@pve/s],
  [{ PROXMOX_USERNAME: secret }, /PROXMOX_USERNAME has no realm/],
  [{ PROXMOX_USERNAME: "mcp@pve!agent" }, /PROXMOX_USERNAME names a token: set PROXMOX_TOKEN_ID/],
  [{ PROXMOX_USERNAME: "@pve" }, /PROXMOX_USERNAME must be user@realm/],
  [{ PROXMOX_USERNAME: "a b@pve" }, /PROXMOX_USERNAME must be user@realm/],
  [{ PROXMOX_USERNAME: `${"a".repeat(61)}@pve` }, /PROXMOX_USERNAME must be user@realm/],
  [{ PROXMOX_PASSWORD: "" }, /^1 setting .*PROXMOX_PASSWORD or PROXMOX_PASSWORD_FILE is missing/s],
  [{ PROXMOX_PASSWORD: `${secret}\nx` }, /PROXMOX_PASSWORD must be one line/],
  [{ PROXMOX_PASSWORD: `\${X:-${secret}}` }, /PROXMOX_PASSWORD holds an unexpanded/],
  [{ PROXMOX_PASSWORD_FILE: "/secret" }, /Set PROXMOX_PASSWORD or PROXMOX_PASSWORD_FILE, not both/],
  [{ PROXMOX_PASSWORD: "", PROXMOX_PASSWORD_FILE: "/gone" }, /\/gone cannot be read \(ENOENT\)/],
])("the login %j is refused", (env, words) => {
  expect(refusalOf({ ...login, ...env })).toMatch(words);
});

test("without any credentials both ways are named", () => {
  const words = refusalOf({ PROXMOX_URL: whole.PROXMOX_URL });
  expect(words).toMatch(
    /TOKEN_ID is missing.*or log in with PROXMOX_USERNAME and PROXMOX_PASSWORD/,
  );
});

test("TLS: authority, fingerprints in any writing, and the way without either", () => {
  const tls = (env: Record<string, string>) => read({ ...whole, ...env }).connection?.tls;
  expect(tls({ PROXMOX_CA_FILE: "/ca.pem" })).toEqual({
    ca: pem,
    fingerprints: [],
    insecure: false,
  });
  const written = `sha256:${fingerprint.toLowerCase()}, ${fingerprint.replaceAll(":", "")}`;
  expect(tls({ PROXMOX_FINGERPRINT: written })?.fingerprints).toEqual([fingerprint, fingerprint]);
  expect(tls({ PROXMOX_INSECURE: "0" })?.insecure).toBe(false);
  expect(tls({ PROXMOX_INSECURE: "true", PROXMOX_FINGERPRINT: fingerprint })?.insecure).toBe(false);
  const bare = read({ ...whole, PROXMOX_INSECURE: "1" });
  expect(bare.connection?.tls.insecure).toBe(true);
  expect(bare.warnings).toEqual([
    expect.stringMatching(/certificate is not checked; PROXMOX_FINGERPRINT/),
  ]);
});

test.each([
  [{ PROXMOX_CA_FILE: "/gone" }, /PROXMOX_CA_FILE: \/gone cannot be read \(ENOENT\)/],
  [{ PROXMOX_CA_FILE: "/text" }, /PROXMOX_CA_FILE: no certificate in \/text/],
  [{ PROXMOX_FINGERPRINT: fingerprint.slice(0, 59) }, /PROXMOX_FINGERPRINT must be 32 pairs/],
  [{ PROXMOX_INSECURE: "maybe" }, /PROXMOX_INSECURE must be 1 or 0/],
])("%j is refused", (env, words) => {
  expect(refusalOf({ ...whole, ...env })).toMatch(words);
});

test("everything wrong is told at once, and variables of another name are pointed out", () => {
  const words = refusalOf({ PROXMOX_HOST: "pve1", PROXMOX_INSECURE: "x" }, ["--redonly"]);
  expect(words).toMatch(/^5 settings to put right:/);
  for (const part of [
    "PROXMOX_URL is missing",
    "TOKEN_ID is missing",
    "TOKEN_SECRET_FILE is missing",
    "PROXMOX_INSECURE",
    "--redonly; try --read-only",
    "PROXMOX_HOST is not read",
  ]) {
    expect(words).toContain(part);
  }
});

test("--files names a directory that is there", () => {
  expect(read(whole, ["--files", " '/etc/mcp files' "]).files).toBe("/etc/mcp files");
  expect(read({}, ["--demo", "--files=/keys"]).files).toBe("/keys");
  expect(read(whole)).not.toHaveProperty("files");
  const source = { argv: ["--files", "/none"], isDirectory: () => false };
  expect(() => readConfig({ env: whole, readFile: () => "", ...source })).toThrow(
    /--files: there is no directory \/none/,
  );
});

test("flags: what they are and what is refused", () => {
  const config = read(whole, ["--read-only", "--toolsets", "core,disks,core"]);
  expect(config).toMatchObject({ readOnly: true, toolsets: ["core", "disks"] });
  expect(read(whole, ["--toolsets=all"]).toolsets).toEqual(["core", "disks"]);
  expect(read(whole, ["--toolsets=agent,all"]).toolsets).toEqual(["agent", "core", "disks"]);
  expect(read({}, ["--demo"])).toEqual({
    mode: "serve",
    demo: true,
    readOnly: false,
    toolsets: ["core"],
    warnings: [],
    secrets: [],
  });
  expect(read({}, ["--help"]).mode).toBe("help");
  expect(read({}, ["--version"]).mode).toBe("version");
});

test.each([
  [["--toolsets"], /--toolsets needs a value, such as core,disks/],
  [["--toolsets", "disk"], /there is no disk\. There are all, core, disks, agent\./],
  [["--toolsets", ","], /--toolsets needs a value/],
  [["--demo=yes"], /--demo takes no value/],
  [["-x"], /There is no flag -x; try --help/],
  [["--token-secret", secret], /There is no flag --token-secret.*Argument 2 belongs to no flag/s],
  [["--files"], /--files needs a value, such as \/etc\/mcp-files/],
  [["--ages"], /--ages needs a value, such as inventory=5/],
  [["--config=x"], /--config is for a later version: use the PROXMOX_/],
])("%j is refused", (argv, words) => {
  expect(refusalOf(whole, argv)).toMatch(words);
});

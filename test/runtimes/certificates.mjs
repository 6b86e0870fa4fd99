// A certificate is replaced on the very host that the server talks to and whose fingerprint is pinned: the new one is taken,
// old and new alternate for a while, and a stranger's is refused as before.
import { fork } from "node:child_process";
import process from "node:process";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const node = "pve1";
/** Enough new connections to meet each certificate three times. */
const rounds = 6;

/** `runtime`: `bin` and `argsFor(host)`. Throws what is wrong. */
export async function replacement({ bin, argsFor }) {
  const host = fork(new URL("certificate-host.ts", import.meta.url), {
    execArgv: ["--import", "tsx"],
    cwd: root,
  });
  const reply = () => new Promise((resolve) => host.once("message", resolve));
  const happens = (what) => {
    const answer = reply();
    host.send(what);
    return answer;
  };
  const about = await reply();
  const { url, tokenId, secret, own } = about;
  const transport = new StdioClientTransport({
    command: bin,
    args: argsFor(new URL(url).host),
    cwd: root,
    env: {
      PATH: process.env.PATH,
      PROXMOX_URL: url,
      PROXMOX_TOKEN_ID: tokenId,
      PROXMOX_TOKEN_SECRET: secret,
      PROXMOX_FINGERPRINT: own.fingerprint,
    },
    stderr: "pipe",
  });
  let stderr = "";
  transport.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const client = new Client({ name: "smoke", version: "1" });
  try {
    await client.connect(transport);
    const note = await story({ client, happens, ...about });
    const [, keyLine] = about.next.key.split("\n");
    must(!stderr.includes(keyLine) && !stderr.includes(secret), "a secret stands on stderr");
    return note;
  } finally {
    await client.close();
    host.disconnect();
  }
}

async function story({ client, happens, url, own, next, stranger }) {
  const call = (name, args) => client.callTool({ name, arguments: args });
  const read = async (when) => {
    const result = await call("get_vm", { vm: "web-1", max_age_s: 0 });
    must(!result.isError, `${when}: ${JSON.stringify(result.content)}`);
  };
  const readAnew = async (when) => {
    const before = (await happens("hang up")).connections;
    await read(when);
    const { connections } = await happens("nothing");
    must(connections > before, `${when}: no new connection`);
  };
  await read("before");

  const upload = { node, certificate: next.cert, key: next.key };
  const warned = await call("create_certificate", upload);
  must(warned.isError && warned.content[0].text.includes(next.fingerprint), "not warned before");
  const created = await call("create_certificate", { ...upload, force: true });
  must(!created.isError && created.structuredContent.changed, JSON.stringify(created.content));
  const [{ text }] = created.content;
  must(text.includes("alternate") && text.includes(next.fingerprint), `no warning: ${text}`);
  const both = new Set([await shownBy(url), await shownBy(url)]);
  must(both.has(own.fingerprint) && both.has(next.fingerprint), "they do not alternate");
  for (let round = 1; round <= rounds; round++) await readAnew(`round ${round} of the change`);

  await happens("time passes");
  must((await shownBy(url)) === next.fingerprint, "the old one is still shown");
  await readAnew("with the new one");

  const { requests } = await happens("another host answers");
  const refused = await call("get_vm", { vm: "web-1", max_age_s: 0 });
  must(refused.isError, "a stranger's certificate was taken");
  must(
    refused.content[0].text.includes(stranger.fingerprint),
    `the stranger is not named: ${refused.content[0].text}`,
  );
  must((await happens("nothing")).requests === requests, "something was sent to a stranger");
  await happens("it answers again");
  await read("when the stranger is gone");

  const removed = await call("delete_certificate", { node, force: true });
  must(!removed.isError && removed.structuredContent.changed, JSON.stringify(removed.content));
  for (let round = 1; round <= rounds; round++) await readAnew(`round ${round} of the way back`);
  return `new one taken, ${2 * rounds} reads meanwhile, a stranger refused`;
}

/** The fingerprint of what the host shows to somebody who asks now. */
function shownBy(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      resolve(fingerprint256);
    });
  });
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

import {
  type CertificateFile,
  describe,
  issued,
  type NodeCertificates,
  restartProxy,
} from "../certificates.ts";
import { badParameters, died } from "../refusal.ts";
import { type Call, needs, type Route } from "../route.ts";
import { TaskFailure, type TaskLog, type Work } from "../tasks.ts";
import type { AcmeWorld, Node } from "../world.ts";

const flag = { type: "boolean", optional: true } as const;
const soonMs = 30 * 86_400_000;

/** PVE::API2::ACME, ACMEAccount, ACMEPlugin and NodeConfig. */
export function acmeRoutes(): Route[] {
  const certificate = "/nodes/{node}/certificates/acme/certificate";
  const permission = needs("/nodes/{node}", "Sys.Modify");
  return [
    {
      method: "GET",
      path: "/nodes/{node}/config",
      permission: needs("/", "Sys.Audit"),
      parameters: { property: { type: "string", optional: true } },
      handle: nodeConfig,
    },
    {
      method: "GET",
      path: "/cluster/acme/account",
      handle: ({ cluster }) => [...(cluster.world.acme?.accounts ?? [])].map((name) => ({ name })),
    },
    {
      method: "GET",
      path: "/cluster/acme/plugins",
      permission: needs("/", "Sys.Modify"),
      parameters: { type: { type: "string", optional: true, enum: ["dns", "standalone"] } },
      handle: plugins,
    },
    { method: "POST", path: certificate, permission, parameters: { force: flag }, handle: order },
    { method: "PUT", path: certificate, permission, parameters: { force: flag }, handle: renew },
    { method: "DELETE", path: certificate, permission, handle: revoke },
  ];
}

function theNode({ cluster, values }: Call): Node {
  const node = cluster.world.nodes.get(values["node"] ?? "");
  if (!node) throw died(`no such cluster node '${values["node"]}'`);
  return node;
}

/** GET /nodes/{node}/config: what its file holds, and the file's digest. */
function nodeConfig(call: Call): unknown {
  const { config = {} } = theNode(call);
  return { ...config, digest: "da39a3ee5e6b4b0d3255bfef95601890afd80709" };
}

/** GET /cluster/acme/plugins: the one that needs no DNS is always there. */
function plugins({ cluster, values }: Call): unknown[] {
  const known = new Map([["standalone", "standalone"], ...(cluster.world.acme?.plugins ?? [])]);
  return [...known]
    .filter(([, type]) => values["type"] === undefined || values["type"] === type)
    .map(([plugin, type]) => ({ plugin, type }));
}

interface Settings {
  readonly account: string;
  /** Domain → plugin. */
  readonly domains: ReadonlyMap<string, string>;
}

/** PVE::NodeConfig get_acme_conf; undefined where nothing of ACME is configured. */
function settingsOf({ config = {} }: Node): Settings | undefined {
  const keys = Object.keys(config).filter((key) => /^acme(?:domain[0-5])?$/.test(key));
  if (keys.length === 0) return undefined;
  const parts = (text: string, first: string) =>
    Object.fromEntries(
      text.split(",").map((piece) => {
        const [key = "", value] = piece.split("=");
        return value === undefined ? [first, key] : [key, value];
      }),
    );
  const { account = "default", domains = "" } = parts(config["acme"] ?? "", "account");
  const found = new Map<string, string>();
  for (const domain of domains.split(/[;\s]+/)) if (domain !== "") found.set(domain, "standalone");
  for (const key of keys.filter((name) => name !== "acme")) {
    const { domain = "", plugin = "standalone" } = parts(config[key] ?? "", "domain");
    found.set(domain, plugin);
  }
  return { account: account === "" ? "default" : account, domains: found };
}

/** What PVE's own code says where nothing is configured at all is no sentence for people. */
function needSettings(node: Node): Settings {
  const settings = settingsOf(node);
  if (!settings) {
    const where = "/usr/share/perl5/PVE/API2/ACME.pm line 195";
    throw died(`Can't use an undefined value as a HASH reference at ${where}.`);
  }
  if (settings.domains.size === 0) {
    throw died("ACME domain list in node configuration is missing!");
  }
  return settings;
}

/** POST …/certificates/acme/certificate */
function order(call: Call): string {
  const node = theNode(call);
  if (node.certificates.custom && call.values["force"] !== "1") {
    throw badParameters({ force: "Custom certificate exists but 'force' is not set." });
  }
  return fork(call, node, needSettings(node), "acmenewcert");
}

/** PUT …: a certificate that is good for longer is not replaced unasked. */
function renew(call: Call): string {
  const node = theNode(call);
  const { custom } = node.certificates;
  if (!custom) {
    throw died("No current (custom) certificate found, please order a new certificate!");
  }
  const until = (custom.info?.notafter ?? 0) * 1000;
  if (until > call.cluster.now + soonMs && call.values["force"] !== "1") {
    throw badParameters({
      force: "Certificate does not expire within the next 30 days, and 'force' is not set.",
    });
  }
  return fork(call, node, needSettings(node), "acmerenew");
}

/** DELETE …: at the authority first, then on the node. */
function revoke(call: Call): string {
  const { cluster, access } = call;
  const node = theNode(call);
  const settings = needSettings(node);
  return cluster.tasks.start({
    node: node.name,
    type: "acmerevoke",
    id: "",
    user: access.name,
    work: function* (log) {
      const acme = load(call, settings, log);
      const { custom } = node.certificates;
      if (!custom) throw new TaskFailure("No such file or directory");
      log.print("Revoking old certificate");
      yield 400;
      acme.revoked.push(custom.info?.fingerprint ?? "");
      log.print("Deleting certificate files");
      node.certificates.custom = undefined;
      log.print("Restarting pveproxy to revert to self-signed certificates");
      restart(call, node.certificates);
      yield 200;
    },
  });
}

function fork(call: Call, node: Node, settings: Settings, type: string): string {
  return call.cluster.tasks.start({
    node: node.name,
    type,
    id: "",
    user: call.access.name,
    work: (log) => work(call, node, settings, log, type === "acmerenew"),
  });
}

function* work(call: Call, node: Node, settings: Settings, log: TaskLog, renews: boolean): Work {
  const acme = load(call, settings, log);
  const before = node.certificates.custom;
  const file = yield* placeOrder(call, node, settings, acme, log);
  log.print("Setting pveproxy certificate and key");
  node.certificates.custom = file;
  log.print("Restarting pveproxy");
  restart(call, node.certificates);
  yield 500;
  if (!renews) return;
  log.print("Revoking old certificate");
  yield 300;
  acme.revoked.push(before?.info?.fingerprint ?? "");
}

function load({ cluster }: Call, { account }: Settings, log: TaskLog): AcmeWorld {
  const { acme } = cluster.world;
  if (!acme?.accounts.has(account)) {
    throw new TaskFailure(`ACME account config file '${account}' does not exist.`);
  }
  log.print("Loading ACME account details");
  return acme;
}

/** One authorization after the other, then the certificate. */
function* placeOrder(
  { cluster }: Call,
  node: Node,
  { domains }: Settings,
  { plugins: known, invalid, issues }: AcmeWorld,
  log: TaskLog,
): Generator<number, CertificateFile, void> {
  log.print("Placing ACME order");
  yield 600;
  log.print("Order URL: https://acme.lab.example/acme/order/1/1");
  for (const [domain, plugin] of domains) {
    if (plugin !== "standalone" && !known.has(plugin)) {
      throw new TaskFailure(`ACME plugin '${plugin}' does not exist`);
    }
    yield* validate(domain, { plugin, valid: !invalid.has(domain) }, log);
  }
  for (const line of ["", "All domains validated!", "", "Creating CSR", "Checking order status"]) {
    log.print(line);
  }
  yield 800;
  for (const line of [
    "Order is ready, finalizing order",
    "valid!",
    "",
    "Downloading certificate",
  ]) {
    log.print(line);
  }
  yield 200;
  const pems = issues.get(node.name);
  const info = pems && describe(pems.cert, "pveproxy-ssl.pem");
  return pems ? { ...pems, ...(info && { info }) } : issued([...domains.keys()], cluster.now);
}

/** A DNS record takes its time to be seen. */
function* validate(
  domain: string,
  { plugin, valid }: { readonly plugin: string; readonly valid: boolean },
  log: TaskLog,
): Work {
  const alone = plugin === "standalone";
  const at = `https://acme.lab.example/acme/authz/${domain}`;
  log.print(`Getting authorization details from '${at}'`);
  log.print(`The validation for ${domain} is pending!`);
  log.print(
    alone ? "Setting up webserver" : "Sleeping 30 seconds to wait for TXT record propagation",
  );
  yield alone ? 1000 : 30_000;
  log.print("Triggering validation");
  log.print("Sleeping for 5 seconds");
  yield 5000;
  if (!valid) throw new TaskFailure(`validating challenge '${at}' failed - status: invalid`);
  log.print(`Status is 'valid', domain '${domain}' OK!`);
}

function restart({ cluster }: Call, files: NodeCertificates): void {
  restartProxy(files, (ms, run) => cluster.events.schedule(cluster.now + ms, run));
}

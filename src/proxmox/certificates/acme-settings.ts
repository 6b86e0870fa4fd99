import { ifAllowed } from "../../each.ts";
import { path } from "../../http/path.ts";
import { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { fresh, tags } from "../api/freshness.ts";
import { properties, record, records, text, type Wire } from "../api/values.ts";
import type { Question, Verbs } from "../api/verbs.ts";

/** How a node gets certificates by ACME. */
export interface AcmeSettings {
  readonly node: string;
  /** The account that the node's configuration names; `default` where it names none. */
  readonly account: string;
  /** Lower case, with the plugin that proves each. */
  readonly domains: readonly { readonly domain: string; readonly plugin: string }[];
  readonly accounts: readonly string[];
  /** Undefined where these credentials may not see them. */
  readonly plugins: readonly string[] | undefined;
}

/** Always there, and in no need of being set up. */
const standalone = "standalone";

/** As they are now: GET /nodes/{node}/config (Sys.Audit on /), /cluster/acme/account, /cluster/acme/plugins (Sys.Modify on /) */
export async function readSettings(node: string, verbs: Verbs, call: Call): Promise<AcmeSettings> {
  const [config, accounts] = await Promise.all([
    verbs.live(call, configQuestion(node)),
    verbs.live(call, namesQuestion("account", "name")),
  ]);
  const asked = config.domains.some(({ plugin }) => plugin !== standalone);
  const plugins = asked
    ? await ifAllowed(verbs.live(call, namesQuestion("plugins", "plugin")))
    : [standalone];
  return { node, ...config, accounts, plugins };
}

/** What is missing for an order, each with the command and the place in the web interface that mend it. */
export function missing(settings: AcmeSettings): readonly Problem[] {
  const { node, account, domains, accounts, plugins } = settings;
  const problems: Problem[] = [];
  const facts = { node, account, domains: domains.map(({ domain }) => domain) };
  const lacks = (what: string, next: string) =>
    problems.push(new Problem("conflict", what, { next, facts }));
  if (!accounts.includes(account)) {
    const others = accounts.length > 0 ? ` There are: ${accounts.slice(0, 10).join(", ")}.` : "";
    lacks(
      `There is no ACME account "${account}".${others}`,
      `Register it on a host: pvenode acme account register ${account} <mail address> (web interface: Datacenter, ACME, Accounts, Add), or have the node use another: pvenode config set --acme account=<name>.`,
    );
  }
  if (domains.length === 0) {
    lacks(
      `No ACME domain is configured for node ${node}.`,
      `Set it on ${node}: pvenode config set --acmedomain0 domain=<name>,plugin=<id> (web interface: ${node}, Certificates, ACME, Add).`,
    );
  }
  const unknown = domains.filter(({ plugin }) => plugins?.includes(plugin) === false);
  for (const { domain, plugin } of unknown) {
    lacks(
      `Domain ${domain} of node ${node} is to be proved by the ACME plugin "${plugin}", which is not there.`,
      `Add it on a host: pvenode acme plugin add dns ${plugin} --api <provider> --data <file> (web interface: Datacenter, ACME, Challenge Plugins, Add).`,
    );
  }
  return problems;
}

/** PVE: pve-manager PVE/NodeConfig.pm (get_acme_conf) */
function configQuestion(node: string): Question<Pick<AcmeSettings, "account" | "domains">> {
  return {
    path: path`/nodes/${node}/config`,
    freshness: fresh("never"),
    parse: (data) => readConfig(record(data)),
  };
}

function readConfig(wire: Wire): Pick<AcmeSettings, "account" | "domains"> {
  const { account = "default", domains = "" } = properties(text(wire["acme"]) ?? "", "account");
  const plain = domains.split(/[;\s]+/).filter((domain) => domain !== "");
  const numbered = [0, 1, 2, 3, 4, 5].flatMap((index) => {
    const value = text(wire[`acmedomain${index}`]);
    const { domain, plugin = standalone } = value === undefined ? {} : properties(value, "domain");
    return domain === undefined ? [] : [{ domain: domain.toLowerCase(), plugin }];
  });
  return {
    account,
    domains: [
      ...plain.map((domain) => ({ domain: domain.toLowerCase(), plugin: standalone })),
      ...numbered,
    ],
  };
}

function namesQuestion(
  what: "account" | "plugins",
  key: "name" | "plugin",
): Question<readonly string[]> {
  return {
    path: what === "account" ? path`/cluster/acme/account` : path`/cluster/acme/plugins`,
    freshness: fresh("never", tags.cluster),
    parse: (data) => records(data).flatMap((row) => text(row[key]) ?? []),
  };
}

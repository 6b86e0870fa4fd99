import { path } from "../../http/path.ts";
import { isProblem, Problem } from "../../problem.ts";
import { Call } from "../api/call.ts";
import { tags } from "../api/freshness.ts";
import type { ChangeRequest, Verbs } from "../api/verbs.ts";
import type { Changes } from "../guests/changes.ts";
import type { Task } from "../tasks/task.ts";
import type { Tasks } from "../tasks/tasks.ts";
import { type AcmeSettings, missing, readSettings } from "./acme-settings.ts";
import type { CertificateChange } from "./certificate-change.ts";
import { exists, refusal, risks, warnings } from "./certificate-words.ts";
import type { Certificate, Certificates } from "./certificates.ts";
import type { Recognition, Recognitions } from "./recognition.ts";

export interface AcmeOptions {
  /** Replaces a custom certificate, and one that is good for longer; and however this server recognises the node. */
  readonly force: boolean;
  readonly dryRun?: boolean | undefined;
}

/** An order that is under way, or needless, or only planned. */
export interface AcmeChange extends CertificateChange {
  readonly task?: Task;
  /** Once the task has ended well: what the node shows from now on, and how it is recognised. */
  readonly conclude: (call: Call) => Promise<Pick<CertificateChange, "certificate" | "pin">>;
}

interface Plan {
  readonly node: string;
  readonly says: string;
  readonly before: readonly Certificate[];
  readonly request?: ChangeRequest;
  readonly against: readonly Problem[];
  readonly certificate?: Certificate | undefined;
  /** Of the certificate that the node will show; undefined where nobody knows it before. */
  readonly next?: string | undefined;
}

interface Parts {
  readonly verbs: Verbs;
  readonly certificates: Certificates;
  readonly recognitions: Recognitions;
  readonly changes: Changes;
  readonly tasks: Tasks;
}

/** PVE renews without being forced when less than this is left. PVE: pve-manager PVE/API2/ACME.pm (renew_certificate) */
const soonMs = 30 * 86_400_000;
/** Between two looks for a certificate that cannot be known before; and how many after the end. */
const lookMs = 500;
const lastLooks = 20;

/** Certificates by ACME. PVE: POST, PUT, DELETE /nodes/{node}/certificates/acme/certificate */
export class Acme {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Orders the certificate of a node's configured domains, or renews the one that it has. Throws `conflict` that names what is missing
   * (account, domain, plugin) or what is in the way, `forbidden`, `unreachable`.
   */
  async order(name: string, options: AcmeOptions, call: Call): Promise<AcmeChange> {
    const { certificates, verbs } = this.#parts;
    const { node } = await certificates.node(name, call);
    const settings = await readSettings(node, verbs, call);
    const before = await certificates.live(node, call);
    return this.#carryOut(
      orderPlan(settings, before, options.force, verbs.clock.now()),
      options,
      call,
    );
  }

  /** Has the authority revoke the certificate and takes it off the node; nothing is sent where there is none. */
  async revoke(name: string, options: AcmeOptions, call: Call): Promise<AcmeChange> {
    const { certificates, verbs } = this.#parts;
    const { node } = await certificates.node(name, call);
    const before = await certificates.live(node, call);
    const own = before.find(({ use }) => use === "own");
    const says = `has the ACME authority revoke the certificate of ${node}, which then shows its own`;
    if (!before.some(({ use }) => use === "custom")) {
      return this.#carryOut({ node, says, before, against: [], certificate: own }, options, call);
    }
    const settings = await readSettings(node, verbs, call);
    const request: ChangeRequest = {
      method: "DELETE",
      path: path`/nodes/${node}/certificates/acme/certificate`,
    };
    const against = missing(settings);
    const plan = { node, says, before, request, against, next: own?.fingerprint };
    return this.#carryOut(plan, options, call);
  }

  async #carryOut(plan: Plan, { force, dryRun }: AcmeOptions, call: Call): Promise<AcmeChange> {
    const { node, says, before, request, against, certificate } = plan;
    const common = { node, says, against, certificate, conclude: async () => ({}) };
    if (!request) return { ...common, changed: false, warnings: [] };
    const next = { fingerprint: plan.next, restart: true };
    const recognition = await this.#parts.recognitions.of(node, before, next, call);
    const told = [
      ...warnings(recognition, { force, restart: true }, node),
      ...this.#unjudged(plan),
    ];
    const upid = this.#parts.tasks.running(tags.certificates(node));
    const all = [
      ...(upid === undefined ? [] : [underWay(node, upid)]),
      ...against,
      ...risks(recognition, force),
    ];
    const said = { ...common, against: all, warnings: told };
    if (dryRun) return { ...said, changed: false, request };
    const [first] = all;
    if (first) throw first.kind === "busy" ? first : refusal(all);
    const end = { reached: false };
    const onEnd = () => {
      end.reached = true;
      return [tags.certificates(node)];
    };
    const task = await this.#send(plan, request, recognition, onEnd, call);
    const unknown = recognition.pinned && plan.next === undefined;
    const learnt = unknown ? this.#learn(node, before, end) : Promise.resolve(recognition.pin);
    const conclude = async (caller: Call) => {
      const pin = await learnt;
      const now = await this.#parts.certificates.live(node, caller);
      return { certificate: now.find(({ served }) => served), ...(pin !== undefined && { pin }) };
    };
    return { ...said, changed: true, task, conclude };
  }

  /** Where one authority is trusted and no other, nobody knows before whether it is the one of ACME. */
  #unjudged({ node, next }: Plan): readonly string[] {
    const { trusts } = this.#parts.verbs.api;
    if (next !== undefined || !trusts.some(({ ca, insecure }) => ca !== undefined && !insecure)) {
      return [];
    }
    return [
      `If this server reaches ${node} itself, PROXMOX_CA_FILE has to hold the authority behind ACME as well.`,
    ];
  }

  /** A certificate that is known is accepted before it can be met, and not any more when PVE has refused it. */
  async #send(
    { node, before }: Plan,
    request: ChangeRequest,
    recognition: Recognition,
    onEnd: () => readonly string[],
    call: Call,
  ): Promise<Task> {
    const takeBack = recognition.accept();
    try {
      const touches = [tags.certificates(node), tags.tasks];
      return await this.#parts.changes.send(request, { touches, follow: { onEnd } }, call);
    } catch (error) {
      if (!isProblem(error, "outcome_unknown")) takeBack();
      // A file that nobody can read is in no list and in the way all the same.
      const there = before.find(({ use }) => use === "custom");
      const inTheWay = isProblem(error, "conflict") && there === undefined;
      throw inTheWay ? unreadable(node, error) : error;
    }
  }

  /**
   * Where the node is recognised by its fingerprint, the new one is accepted as soon as Proxmox shows it: its old workers go on
   * for some seconds after the restart. Goes on whoever waits, until it is found or the task has long ended.
   */
  async #learn(
    node: string,
    before: readonly Certificate[],
    end: { readonly reached: boolean },
  ): Promise<string | undefined> {
    const { verbs, certificates, recognitions } = this.#parts;
    const known = new Set(before.map(({ fingerprint }) => fingerprint));
    const call = new Call();
    for (let late = 0; late < lastLooks; late += end.reached ? 1 : 0) {
      await verbs.clock.sleep(lookMs, { background: true });
      try {
        const now = await certificates.live(node, call);
        const fresh = now.find((one) => one.served && !known.has(one.fingerprint));
        if (fresh?.fingerprint === undefined) continue;
        const next = { fingerprint: fresh.fingerprint, restart: true };
        const recognition = await recognitions.of(node, before, next, call);
        recognition.accept();
        return recognition.pin;
      } catch (error) {
        if (!isProblem(error)) throw error;
      }
    }
    return undefined;
  }
}

function orderPlan(
  settings: AcmeSettings,
  before: readonly Certificate[],
  force: boolean,
  now: number,
): Plan {
  const { node, domains } = settings;
  const there = before.find(({ use }) => use === "custom");
  const names = new Set(there?.names.map((one) => one.toLowerCase()));
  const renews =
    there !== undefined && domains.length > 0 && domains.every(({ domain }) => names.has(domain));
  const lasts = (there?.notAfter ?? 0) > now + soonMs;
  const says = `${renews ? "renews" : "orders"} a certificate for ${domainWords(settings)} by ACME, puts it on ${node} and restarts its pveproxy`;
  const against = missing(settings);
  if (renews && lasts && !force && against.length === 0) {
    return { node, says, before, against, certificate: there };
  }
  const inTheWay = there && !renews && !force ? [exists(there)] : [];
  return {
    node,
    says,
    before,
    against: [...against, ...inTheWay],
    request: {
      method: renews ? "PUT" : "POST",
      path: path`/nodes/${node}/certificates/acme/certificate`,
      params: { ...(force && (!renews || lasts) && { force: true }) },
    },
  };
}

function domainWords({ node, domains }: AcmeSettings): string {
  if (domains.length === 0) return `the domains of ${node}, of which none is configured,`;
  return domains.map(({ domain }) => domain).join(", ");
}

function underWay(node: string, upid: string): Problem {
  return new Problem("busy", `The certificate of ${node} is being changed already.`, {
    next: `Wait for it with get_tasks {upid: "${upid}", wait_s: 60}, then look again.`,
    facts: { node, upid },
  });
}

function unreadable(node: string, { message, facts }: Problem): Problem {
  return new Problem("conflict", message, {
    next: `A certificate file that can't be read may have been left on ${node}: repeat the call with force: true to replace it.`,
    facts,
  });
}

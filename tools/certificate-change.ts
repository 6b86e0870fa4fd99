import * as z from "zod";
import { Problem } from "../src/problem.ts";
import type { AcmeChange } from "../src/proxmox/certificates/acme.ts";
import type { CertificateChange } from "../src/proxmox/certificates/certificate-change.ts";
import { defineTool, type ToolContext } from "../src/tool.ts";
import { type CertificateFields, certificateFields } from "./certificates.ts";
import { taskFields } from "./outcome.ts";
import * as params from "./params.ts";

const restart = z.boolean().default(true).describe("pveproxy; else the old one stays shown");
const file = z.string().trim().min(1).max(500);

const changeOutput = z.object({
  node: z.string(),
  changed: z.boolean(),
  certificate: z.record(z.string(), z.unknown()).optional(),
  warnings: z.array(z.string()).optional(),
  pin: z.string().optional(),
  upid: z.string().optional(),
  task: z.record(z.string(), z.unknown()).optional(),
  plan: z.record(z.string(), z.unknown()).optional(),
});

export const createCertificate = defineTool({
  name: "create_certificate",
  description:
    "Puts a TLS certificate on a node in place of the one it shows: a custom one with its key, both checked before, or by ACME as the node is configured.",
  effect: "interrupt",
  input: z.object({
    node: params.node,
    certificate: z.string().max(100_000).optional().describe("PEM: its own first, then issuers"),
    certificate_file: file.optional().describe("instead of certificate"),
    key: z.string().max(50_000).optional().describe("PEM, not encrypted"),
    key_file: file.optional().describe("instead of key"),
    acme: z.boolean().optional(),
    force: z.boolean().default(false).describe("replaces a custom one"),
    restart,
    ...params.changing,
  }),
  fileArguments: ["certificate_file", "key_file"],
  output: changeOutput,
  async run({ node, acme, restart, force, dry_run: dryRun, ...texts }, context) {
    const { proxmox, call } = context;
    if (acme) {
      assertBare(texts, restart);
      return acmeFields(await proxmox.services.acme.order(node, { force, dryRun }, call), context);
    }
    const certificate = await pem(
      "certificate",
      texts.certificate,
      texts.certificate_file,
      context,
    );
    const key = await pem("key", texts.key, texts.key_file, context);
    const options = { certificate, key, force, restart, dryRun };
    return changeFields(await proxmox.certificateChanges.create(node, options, call), context);
  },
  show: (result) =>
    showChange(result, {
      did: "has a new certificate",
      already: "has that certificate already (force: true sends it again)",
    }),
});

export const deleteCertificate = defineTool({
  name: "delete_certificate",
  description:
    "Takes the custom or ACME TLS certificate of a node away, which then shows the one of the cluster's own authority again.",
  effect: "interrupt",
  input: z.object({
    node: params.node,
    revoke: z.boolean().optional().describe("by ACME"),
    force: z.boolean().default(false),
    restart,
    ...params.changing,
  }),
  output: changeOutput,
  async run({ node, revoke, force, restart, dry_run: dryRun }, context) {
    const { proxmox, call } = context;
    if (revoke) {
      assertBare({}, restart);
      return acmeFields(await proxmox.services.acme.revoke(node, { force, dryRun }, call), context);
    }
    const options = { force, restart, dryRun };
    return changeFields(await proxmox.certificateChanges.delete(node, options, call), context);
  },
  show: (result) =>
    showChange(result, { did: "shows its own certificate", already: "has no custom certificate" }),
});

/** What ACME brings itself, or always does. */
function assertBare(texts: Readonly<Record<string, unknown>>, restart: boolean): void {
  const [given] = Object.entries(texts).find(([name, value]) => pems.test(name) && value) ?? [];
  const argument = given ?? (restart ? undefined : "restart");
  if (argument === undefined) return;
  throw new Problem("invalid_input", `${argument} does not go with ACME.`, {
    next:
      argument === "restart"
        ? "Proxmox restarts pveproxy itself when the certificate is there: leave restart out."
        : "Leave acme out to upload that certificate, or the certificate and key out to order one.",
    facts: { argument },
  });
}

const pems = /^(?:certificate|key)/;

/** Waits for an order; what it brought is known only afterwards. */
async function acmeFields(change: AcmeChange, context: ToolContext) {
  if (!change.task) return changeFields(change, context);
  const report = await context.settle(change.task);
  const done = report.state === "running" ? {} : await change.conclude(context.call);
  return {
    ...changeFields({ ...change, ...done }, context),
    upid: report.upid,
    task: taskFields(report),
  };
}

/** As text or as the name of a file, of which exactly one has to be given. */
async function pem(
  argument: "certificate" | "key",
  text: string | undefined,
  path: string | undefined,
  { files }: ToolContext,
): Promise<string> {
  if (text !== undefined && path === undefined) return text;
  if (text === undefined && path !== undefined && files) {
    return files.text(path, `${argument}_file`);
  }
  const names = files ? `${argument} or ${argument}_file` : argument;
  throw new Problem(
    "invalid_input",
    text === undefined ? `${names} is missing.` : `Give ${names}, not both.`,
    { next: `Repeat the call with one ${names}, in PEM.`, facts: { argument } },
  );
}

function changeFields(result: CertificateChange, { proxmox }: ToolContext) {
  const { node, changed, says, request, against, certificate, warnings, pin } = result;
  const known = certificate && certificateFields(certificate, proxmox.clock.now());
  const requests = request
    ? [{ method: request.method, path: request.path, params: request.params ?? {} }]
    : [];
  const problems = against.map(({ kind, message }) => ({ kind, message }));
  return {
    node,
    changed,
    ...(known && { certificate: known }),
    ...(warnings.length > 0 && { warnings: [...warnings] }),
    ...(pin !== undefined && { pin }),
    ...(!changed && request && { plan: { says, requests, against: problems } }),
  };
}

interface Plan {
  readonly says: string;
  readonly requests: readonly { method: string; path: string; params: unknown }[];
  readonly against: readonly { kind: string; message: string }[];
}

function showChange(
  {
    node,
    changed,
    certificate,
    warnings = [],
    pin,
    upid,
    task,
    plan,
  }: z.output<typeof changeOutput>,
  words: { readonly did: string; readonly already: string },
): string {
  const {
    subject,
    not_after: until,
    fingerprint,
  } = (certificate ?? {}) as Partial<CertificateFields>;
  const planned = plan as Plan | undefined;
  return [
    ...(planned
      ? [
          `Nothing was sent. The call ${planned.says}:`,
          ...planned.requests.map(
            (one) => `${one.method} ${one.path} ${JSON.stringify(one.params)}`,
          ),
          ...planned.against.map(({ kind, message }) => `Against it: ${kind}: ${message}`),
        ]
      : task?.["state"] === "running"
        ? [`Node ${node} waits for ACME. Follow it with get_tasks {upid: "${upid}", wait_s: 60}.`]
        : [`Node ${node} ${changed ? words.did : `${words.already}; nothing was sent`}.`]),
    ...(subject === undefined ? [] : [`${subject}, until ${until?.slice(0, 10)}, ${fingerprint}`]),
    ...warnings,
    ...(pin === undefined ? [] : [pin]),
  ].join("\n");
}

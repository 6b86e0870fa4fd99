import { Problem } from "../../problem.ts";
import { oneLine } from "../../text.ts";
import type { Certificate } from "./certificates.ts";
import type { Recognition } from "./recognition.ts";

/** What was not told as a reason to refuse is told as a warning. */
export function warnings(
  { warnings: said, risk }: Recognition,
  { force, restart }: { readonly force: boolean; readonly restart: boolean },
  node: string,
): readonly string[] {
  const shown = restart
    ? `Open connections to ${node} may drop; for some seconds old and new certificate alternate.`
    : `Without a restart of pveproxy ${node} goes on showing the certificate from before.`;
  return [shown, ...said, ...(risk && force ? [risk.message] : [])];
}

/** What this server's own way to the node depends on, unless that was taken into account. */
export function risks({ risk }: Recognition, force: boolean): readonly Problem[] {
  return risk && !force ? [risk] : [];
}

/** All that speaks against it at once: who repeats the call with `force` goes past everything. */
export function refusal(against: readonly Problem[]): Problem {
  const [first] = against;
  return new Problem(
    first?.kind ?? "conflict",
    `${against.map(({ message }) => message).join(" ")} Nothing was sent.`,
    {
      next: against.flatMap(({ next }) => next ?? []).join(" "),
      facts: Object.assign({}, ...against.map(({ facts }) => facts)),
    },
  );
}

/** What is in the way, unless it may be replaced. */
export function exists({ node, subject, notAfter, fingerprint }: Certificate): Problem {
  const until =
    notAfter === undefined ? "" : `, valid until ${new Date(notAfter).toISOString().slice(0, 10)}`;
  return new Problem(
    "conflict",
    `Node ${node} has a custom certificate already: ${oneLine(subject, 120)}${until}.`,
    {
      next: "Repeat the call with force: true to replace it.",
      facts: { node, subject, fingerprint },
    },
  );
}

/** What no list shows stays. */
export function unlisted(node: string): string {
  return `No list shows a custom certificate of ${node}; a file that cannot be read, as a failed upload leaves it, would go with force: true.`;
}

/** What no list shows goes as well. */
export function unseen(node: string): string {
  return `No list shows a custom certificate of ${node}; a file that cannot be read, as a failed upload leaves it, goes as well.`;
}

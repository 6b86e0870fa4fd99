/** An answer other than 200: thrown by checks and routes, turned into a reply in simulator.ts. */
export class Refusal extends Error {
  readonly status: number;
  /** Texts by parameter name; only with status 400. */
  readonly errors: Readonly<Record<string, string>> | undefined;
  /** Errors raised before the API handler (401, 595 …) have no JSON body. */
  readonly bare: boolean;
  /** Not even a text in the body. */
  readonly empty: boolean;

  constructor(
    status: number,
    message: string,
    options: { errors?: Record<string, string>; bare?: boolean; empty?: boolean } = {},
  ) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.errors = options.errors;
    this.bare = options.bare ?? false;
    this.empty = options.empty ?? false;
  }
}

/** A `die` in a handler: 500 and the text as it is. */
export function died(text: string): Refusal {
  return new Refusal(500, text);
}

/** PVE::Exception raise_param_exc: 400 with one text a parameter. */
export function badParameters(errors: Record<string, string>): Refusal {
  return new Refusal(400, "Parameter verification failed.", { errors });
}

/** PVE::RPCEnvironment raise_perm_exc: `what` is the part in parentheses, such as `/vms/100, VM.Audit`. */
export function forbidden(what?: string): Refusal {
  return new Refusal(403, `Permission check failed${what === undefined ? "" : ` (${what})`}`);
}

import type { Clock } from "../clock.ts";
import { isProblem, Problem } from "../problem.ts";
import { followedBy } from "../text.ts";
import type { Ask, Authenticator } from "./auth.ts";
import { isObject } from "./envelope.ts";
import { path } from "./path.ts";
import { scrubber } from "./scrubber.ts";
import type { Method } from "./transport.ts";

export interface TicketLoginOptions {
  /** `user@realm`. */
  readonly username: string;
  readonly password: string;
  readonly clock: Clock;
}

/** One login: what its requests carry, and until when. */
interface Session {
  readonly ticket: string;
  readonly csrfToken: string;
  /** ms since the epoch, of when it was asked for: PVE counts the two hours from a moment later. */
  readonly since: number;
}

const minute = 60_000;
/** From this age on a ticket is renewed while it still serves. PVE lets it live 120 min. */
const renewAfterMs = 100 * minute;
/** From this age on a ticket is not trusted to outlast the request that carries it. */
const worthlessAfterMs = 118 * minute;
/** A refused login, a renewal that failed and a re-login that did not help are not repeated within this time. */
const pauseMs = minute;
/** So many tickets that had served may be replaced within `pauseMs`, should PVE take them no more. */
const replacements = 5;
const loginDeadlineMs = 30_000;
const loginPath = path`/access/ticket`;

/**
 * User and password: a ticket in a cookie, and a CSRF token beside every request that is no GET. It logs in before the first
 * request, renews the ticket while it is valid, and logs in once more where PVE refuses a ticket that should be good: at most five times a
 * minute while new tickets serve, once a minute where they do not.
 * Throws `invalid_input` for a user without realm. Logging in ends in `unauthorized` where PVE refuses or wants a second factor
 * (said again for a minute without asking, so that neither a lock-out nor its 3 s a refusal add up), or as any request does.
 * PVE: pve-access-control src/PVE/API2/AccessControl.pm (create_ticket), src/PVE/AccessControl.pm (verify_ticket)
 */
export function ticketLogin(options: TicketLoginOptions): Authenticator {
  return new TicketLogin(options);
}

class TicketLogin implements Authenticator {
  readonly principal: string;
  readonly #password: string;
  readonly #clock: Clock;
  readonly #scrub: ReturnType<typeof scrubber>;
  #ask: Ask | undefined;
  #session: Session | undefined;
  /** The login under way; all who need one wait for the same. */
  #flight: Promise<Session> | undefined;
  #refusal: { readonly at: number; readonly problem: Problem } | undefined;
  #renewalFailedAt = Number.NEGATIVE_INFINITY;
  /** Whether the session has been good for anything yet. */
  #served = false;
  /** When tickets were given up for a 401, within the last minute; the oldest first. */
  #rejections: readonly number[] = [];

  constructor({ username, password, clock }: TicketLoginOptions) {
    if (!/^[^\s:/!]+@[A-Za-z][\w.-]+$/.test(username)) {
      throw new Problem("invalid_input", "The user name is not of the form user@realm.", {
        next: "Set PROXMOX_USERNAME to the name with its realm, such as root@pam or mcp@pve.",
      });
    }
    this.principal = username;
    this.#password = password;
    this.#clock = clock;
    this.#scrub = scrubber([password]);
  }

  connect(ask: Ask): void {
    this.#ask = ask;
  }

  describe(): string {
    return `user ${this.principal} by password`;
  }

  scrub(text: string): string {
    return this.#scrub.clean(text);
  }

  /** Rejects with the signal's reason if it aborts while a login is under way; the login itself goes on for the next caller. */
  async headers(method: Method, signal: AbortSignal): Promise<Record<string, string>> {
    const session = this.#usable() ?? (await whileWanted(this.#login(), signal));
    const cookie = cookieOf(session);
    return method === "GET" ? { cookie } : { cookie, csrfpreventiontoken: session.csrfToken };
  }

  current({ cookie }: Readonly<Record<string, string>>): boolean {
    return this.#session !== undefined && cookieOf(this.#session) === cookie;
  }

  /** True: with new headers the request may be sent once more. A ticket that was replaced meanwhile costs no login. */
  rejected(headers: Readonly<Record<string, string>>): boolean {
    if (!this.current(headers)) return true;
    if (this.#untilReplaced() > 0) return false;
    const now = this.#clock.now();
    this.#rejections = [...this.#rejections.filter((at) => isWithin(now, at, pauseMs)), now];
    this.#session = undefined;
    return true;
  }

  accepted(headers: Readonly<Record<string, string>>): void {
    if (this.current(headers)) this.#served = true;
  }

  /** A ticket is only there where the login was good, so name and password are. */
  advice(): string {
    const seconds = Math.ceil(this.#untilReplaced() / 1000);
    const retry =
      seconds > 0 ? `the next login is tried in ${seconds} s` : "the next call logs in once more";
    return `Its login is good, but Proxmox does not take the ticket: ${retry}. If that goes on, compare the clocks of the hosts, and see whether a proxy stands before them.`;
  }

  /** ms until a ticket that PVE does not take is worth another login. */
  #untilReplaced(): number {
    const now = this.#clock.now();
    const recent = this.#rejections.filter((at) => isWithin(now, at, pauseMs));
    const blocking = this.#served ? recent.at(-replacements) : recent.at(-1);
    return blocking === undefined ? 0 : pauseMs - (now - blocking);
  }

  /** The session that a request can go with now. One that grows old is renewed behind it. */
  #usable(): Session | undefined {
    const session = this.#session;
    const now = this.#clock.now();
    if (!session || !isWithin(now, session.since, worthlessAfterMs)) return undefined;
    const due = now - session.since >= renewAfterMs;
    if (due && !isWithin(now, this.#renewalFailedAt, pauseMs)) {
      this.#login().catch(() => {
        this.#renewalFailedAt = this.#clock.now(); // the ticket is still good; whoever needs a new one hears why
      });
    }
    return session;
  }

  #login(): Promise<Session> {
    if (this.#flight !== undefined) return this.#flight;
    const now = this.#clock.now();
    const refused = this.#refusal;
    if (refused && isWithin(now, refused.at, pauseMs)) {
      return Promise.reject(again(refused.problem, pauseMs - (now - refused.at)));
    }
    const flight = this.#renewed().finally(() => {
      this.#flight = undefined;
    });
    this.#flight = flight;
    return flight;
  }

  /** By the ticket while there is one that may serve; by the password otherwise, and where PVE takes the ticket no more. */
  async #renewed(): Promise<Session> {
    const old = this.#session;
    const renewable = old && isWithin(this.#clock.now(), old.since, worthlessAfterMs);
    const session =
      (renewable ? await this.#logInWith(old.ticket).catch(unlessRefused) : undefined) ??
      (await this.#logInWith(this.#password).catch((cause: unknown) => this.#remember(cause)));
    this.#session = session;
    this.#served = false;
    this.#refusal = undefined;
    return session;
  }

  async #logInWith(password: string): Promise<Session> {
    if (!this.#ask) throw new TypeError("the login is not connected to a client");
    const since = this.#clock.now();
    const params = { username: this.principal, password };
    const request = {
      method: "POST",
      path: loginPath,
      params,
      deadlineMs: loginDeadlineMs,
    } as const;
    const { data } = await this.#ask(request);
    const { ticket, csrfToken, challenged } = readLogin(data);
    if (challenged) throw secondFactor(this.principal);
    if (ticket === "" || !/^[\x21-\x7e]+$/.test(csrfToken)) throw noTicket(this.principal);
    this.#scrub.learn(ticket, csrfToken);
    return { ticket, csrfToken, since };
  }

  /** A login that PVE refused is known to fail for a while; one that could not be asked for says nothing of the next. */
  #remember(cause: unknown): never {
    if (!isProblem(cause, "unauthorized")) throw cause;
    const problem = cause.facts["secondFactor"] ? cause : loginRefused(this.principal, cause);
    this.#refusal = { at: this.#clock.now(), problem };
    throw problem;
  }
}

function cookieOf({ ticket }: Session): string {
  return `PVEAuthCookie=${encodeURIComponent(ticket)}`;
}

/** Also false where the clock was set back: then nobody knows how long it is ago. */
function isWithin(now: number, since: number, ms: number): boolean {
  return now >= since && now - since < ms;
}

function unlessRefused(cause: unknown): undefined {
  if (!isProblem(cause, "unauthorized")) throw cause;
}

function readLogin(data: unknown) {
  const fields: Readonly<Record<string, unknown>> = isObject(data) ? { ...data } : {};
  const { ticket, CSRFPreventionToken: csrfToken, NeedTFA: needed } = fields;
  const text = typeof ticket === "string" ? ticket : "";
  return {
    ticket: text,
    csrfToken: typeof csrfToken === "string" ? csrfToken : "",
    challenged: Boolean(Number(needed ?? 0)) || text.startsWith("PVE:!tfa!"),
  };
}

/** PVE says the same whatever was wrong. */
function loginRefused(principal: string, cause: Problem): Problem {
  return new Problem(
    "unauthorized",
    `Proxmox refused the login of ${principal}. It does not say why.`,
    {
      next: "Check PROXMOX_USERNAME with its realm and PROXMOX_PASSWORD, and that the user is enabled and has not expired; a pam user needs an account on the host.",
      facts: { principal },
      cause,
    },
  );
}

function secondFactor(principal: string): Problem {
  return new Problem(
    "unauthorized",
    `${principal} logs in with a second factor, which this server cannot give.`,
    {
      next: "Use an API token of that user instead, which needs none: PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET.",
      facts: { principal, secondFactor: true },
    },
  );
}

function noTicket(principal: string): Problem {
  return new Problem("upstream", `The login of ${principal} was answered without a ticket.`, {
    next: "Check that PROXMOX_URL names a Proxmox VE host itself and no other product or proxy.",
    facts: { principal },
  });
}

function again(problem: Problem, leftMs: number): Problem {
  const seconds = Math.ceil(leftMs / 1000);
  return new Problem(
    problem.kind,
    followedBy(problem.message, `It was not asked again: the next try is in ${seconds} s.`),
    { ...(problem.next && { next: problem.next }), facts: problem.facts, cause: problem },
  );
}

function whileWanted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

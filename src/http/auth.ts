import { Problem } from "../problem.ts";
import type { ApiReply } from "./envelope.ts";
import type { Params } from "./form.ts";
import type { ApiPath } from "./path.ts";
import type { Method } from "./transport.ts";

/** What an authenticator asks PVE on its own behalf. */
export interface OwnRequest {
  readonly method: Method;
  readonly path: ApiPath;
  readonly params: Params;
  readonly deadlineMs: number;
}

/**
 * Sends it without credentials, by the hosts, lanes and retries of every request; it must change nothing, as it is repeated
 * where a read would be. Throws the Problems of a request.
 */
export type Ask = (request: OwnRequest) => Promise<ApiReply>;

/** Who we are to PVE. It knows the secret, so it alone can say where a text must not show it. */
export interface Authenticator {
  /** `user@realm!name` for a token, `user@realm` for a login. */
  readonly principal: string;
  /** The headers that make one request ours, names in lower case. May ask PVE for a ticket first, hence the signal. */
  headers(method: Method, signal: AbortSignal): Promise<Record<string, string>>;
  /** Called once by the client that uses it, before anything else. */
  connect?(ask: Ask): void;
  /** False: these headers have been replaced meanwhile and are not worth sending. Never waits. */
  current?(headers: Readonly<Record<string, string>>): boolean;
  /** PVE answered 401 to these headers. True: new ones are to be had, and the request may be sent once more with them. */
  rejected?(headers: Readonly<Record<string, string>>): boolean;
  /** PVE has served a request with these headers. */
  accepted?(headers: Readonly<Record<string, string>>): void;
  /** For a 401 that new headers have not mended: what to do, where that is more than to check the credentials. */
  advice?(): string;
  /** For messages: `API token user@realm!name`. Never the secret. */
  describe(): string;
  /** The text without the secret, should somebody have echoed it. */
  scrub(text: string): string;
}

/**
 * An API token: no session, no CSRF header, valid until it expires or is revoked.
 * Throws `invalid_input` for an id that is not `user@realm!name` and for a secret that cannot be a header.
 * PVE: pve-http-server src/PVE/APIServer/AnyEvent.pm (extract_auth_value), pve-access-control src/PVE/AccessControl.pm
 */
export function apiToken(options: { readonly id: string; readonly secret: string }): Authenticator {
  const { id, secret } = options;
  if (!/^[\x21-\x7e]+@[\w.-]+![\w.-]+$/.test(id)) {
    throw new Problem("invalid_input", "The token id is not of the form user@realm!name.", {
      next: "Set PROXMOX_TOKEN_ID to the full id, as `pveum user token list` shows it.",
    });
  }
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    throw new Problem("invalid_input", `The secret of token ${id} is empty or has spaces in it.`, {
      next: "Set PROXMOX_TOKEN_SECRET to the value that was shown when the token was made.",
    });
  }
  return {
    principal: id,
    headers: async () => ({ authorization: `PVEAPIToken=${id}=${secret}` }),
    describe: () => `API token ${id}`,
    scrub: (text) => text.replaceAll(secret, "[secret]"),
  };
}

/** Who this server is to Proxmox. */
export type Credentials =
  | { readonly kind: "token"; readonly id: string; readonly secret: string }
  /** `username` is `user@realm`. */
  | { readonly kind: "password"; readonly username: string; readonly password: string };

/** The settings that credentials are made of, as they were written. */
export interface WrittenCredentials {
  readonly tokenId: string | undefined;
  readonly tokenSecret: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Takes a complaint and lets the parser go on, so that all of them are told at once. */
export type Refuse = (problem: string) => undefined;

/** A token or a login, never both. No complaint repeats what was written: it may be a secret in the wrong place. */
export function readCredentials(
  written: WrittenCredentials,
  refuse: Refuse,
): Credentials | undefined {
  const { tokenId, tokenSecret, username, password } = written;
  const token = tokenId !== undefined || tokenSecret !== undefined;
  const login = username !== undefined || password !== undefined;
  if (token && login) {
    return refuse(
      "Set either PROXMOX_TOKEN_ID with PROXMOX_TOKEN_SECRET or PROXMOX_USERNAME with PROXMOX_PASSWORD, not both.",
    );
  }
  return login ? readLogin(username, password, refuse) : readToken(tokenId, tokenSecret, refuse);
}

/** What may not leave the process. */
export function secretsOf(credentials: Credentials): readonly string[] {
  return [credentials.kind === "token" ? credentials.secret : credentials.password];
}

const tokenPattern = /^[^\s@!/:=]+@[\w.-]+![\w.-]+$/u;

/** Some write id and secret as one, as the header does: `user@realm!name=secret`, in either place. */
function readToken(rawId: string | undefined, rawSecret: string | undefined, refuse: Refuse) {
  const whole = /^(?:PVEAPIToken=)?([^\s=]+@[^\s=]+!?[^\s=]*)=(\S+)$/u;
  const [pairOfId, pairOfSecret] = [whole.exec(rawId ?? ""), whole.exec(rawSecret ?? "")];
  // A backslash before the exclamation mark is left over from a shell.
  const id = (pairOfId?.[1] ?? rawId ?? pairOfSecret?.[1])?.replace("\\!", "!");
  const secret = pairOfSecret?.[2] ?? rawSecret ?? pairOfId?.[2];
  if ((pairOfSecret?.[1] ?? id) !== id || (pairOfId?.[2] ?? secret) !== secret) {
    return refuse("PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET name different tokens.");
  }
  const or = secret === undefined ? ", or log in with PROXMOX_USERNAME and PROXMOX_PASSWORD" : "";
  if (id === undefined) refuse(`PROXMOX_TOKEN_ID is missing: set it to user@realm!name${or}.`);
  else if (!tokenPattern.test(id))
    refuse("PROXMOX_TOKEN_ID must be user@realm!name: mcp@pve!agent.");
  if (secret === undefined) refuse("PROXMOX_TOKEN_SECRET or PROXMOX_TOKEN_SECRET_FILE is missing.");
  else if (!/^[\x21-\x7e]+$/u.test(secret)) refuse("PROXMOX_TOKEN_SECRET is not a token's secret.");
  return id === undefined || secret === undefined
    ? undefined
    : ({ kind: "token", id, secret } as const);
}

/** PVE takes up to 64 characters for the name, realm included (pve-access-control src/PVE/Auth/Plugin.pm). */
function readLogin(username: string | undefined, password: string | undefined, refuse: Refuse) {
  if (username === undefined) refuse("PROXMOX_USERNAME is missing: set it to user@realm.");
  else if (username.includes("!"))
    refuse("PROXMOX_USERNAME names a token: set PROXMOX_TOKEN_ID and PROXMOX_TOKEN_SECRET.");
  else if (!username.includes("@"))
    refuse("PROXMOX_USERNAME has no realm: append @pam for a user of the host, @pve for another.");
  else if (!/^[^\s:/]+@[A-Za-z][\w.-]+$/u.test(username) || username.length > 64)
    refuse("PROXMOX_USERNAME must be user@realm: root@pam or mcp@pve.");
  if (password === undefined) refuse("PROXMOX_PASSWORD or PROXMOX_PASSWORD_FILE is missing.");
  else if (/\p{Cc}/u.test(password)) refuse("PROXMOX_PASSWORD must be one line.");
  return username === undefined || password === undefined
    ? undefined
    : ({ kind: "password", username, password } as const);
}

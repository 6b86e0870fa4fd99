export interface Credentials {
  /** `user@realm!name`. */
  readonly tokenId: string;
  readonly secret: string;
}

/** May do everything; privsep 0. */
export const adminToken: Credentials = {
  tokenId: "admin@pve!agent",
  secret: "11111111-aaaa-4aaa-8aaa-000000000001",
};
/** May look at everything and change nothing (PVEAuditor). */
export const auditorToken: Credentials = {
  tokenId: "auditor@pve!agent",
  secret: "22222222-bbbb-4bbb-8bbb-000000000002",
};
/** Has no rights at all: empty lists and 403. */
export const nobodyToken: Credentials = {
  tokenId: "nobody@pve!agent",
  secret: "33333333-cccc-4ccc-8ccc-000000000003",
};
/** May switch and look at the guests of the pool `staging`, nothing else. */
export const stagingToken: Credentials = {
  tokenId: "staging@pve!agent",
  secret: "44444444-dddd-4ddd-8ddd-000000000004",
};

export interface Login {
  /** `user@realm`. */
  readonly username: string;
  readonly password: string;
  /** The digits that a second factor shows. */
  readonly totp?: string;
}

/** The user of `adminToken`: may do everything. */
export const adminLogin: Login = { username: "admin@pve", password: "simulated-admin-1" };
/** The user of `auditorToken`: may look at everything. */
export const auditorLogin: Login = { username: "auditor@pve", password: "simulated-auditor-2" };
/** May do what no role and no token may. */
export const rootLogin: Login = { username: "root@pam", password: "simulated-root-3" };
/** Has to show a second factor. */
export const carefulLogin: Login = {
  username: "careful@pve",
  password: "simulated-careful-4",
  totp: "314159",
};

/** The header value that these credentials make. */
export function authorization({ tokenId, secret }: Credentials): string {
  return `PVEAPIToken=${tokenId}=${secret}`;
}

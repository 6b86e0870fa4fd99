/** Of the releases that can be simulated: their privileges differ. */
export type Version = "8.4" | "9.1";

const areas: Readonly<Record<string, string>> = {
  Datastore: "Allocate AllocateSpace AllocateTemplate Audit",
  Group: "Allocate",
  Mapping: "Audit Modify Use",
  Permissions: "Modify",
  Pool: "Allocate Audit",
  Realm: "Allocate AllocateUser",
  SDN: "Allocate Audit Use",
  Sys: "AccessNetwork Audit Console Incoming Modify PowerMgmt Syslog",
  User: "Modify",
  VM: "Allocate Audit Backup Clone Config.CDROM Config.CPU Config.Cloudinit Config.Disk Config.HWType Config.Memory Config.Network Config.Options Console GuestAgent.Audit GuestAgent.FileRead GuestAgent.FileSystemMgmt GuestAgent.FileWrite GuestAgent.Unrestricted Migrate PowerMgmt Replicate Snapshot Snapshot.Rollback",
};

function every(): string[] {
  return Object.entries(areas).flatMap(([area, names]) =>
    names.split(" ").map((name) => `${area}.${name}`),
  );
}

const exact: Readonly<Record<string, string>> = {
  NoAccess: "",
  PVEVMUser:
    "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.PowerMgmt",
  PVETemplateUser: "VM.Audit VM.Clone",
  PVEDatastoreUser: "Datastore.AllocateSpace Datastore.Audit",
  PVEMappingUser: "Mapping.Audit Mapping.Use",
  PVEPoolUser: "Pool.Audit",
  PVESDNUser: "SDN.Audit SDN.Use",
  PVESysAdmin: "Sys.Audit Sys.Console Sys.Syslog",
  PVEUserAdmin: "Group.Allocate Realm.AllocateUser User.Modify",
};

const patterns: Readonly<Record<string, RegExp>> = {
  Administrator: /./,
  PVEAdmin:
    /^(?!Permissions\.|Sys\.(?:AccessNetwork|Incoming|Modify|PowerMgmt)$|Realm\.Allocate$|Mapping\.Modify$)/,
  PVEAuditor: /\.Audit$/,
  PVEVMAdmin: /^VM\./,
  PVEDatastoreAdmin: /^Datastore\./,
  PVEMappingAdmin: /^Mapping\./,
  PVEPoolAdmin: /^Pool\./,
  PVESDNAdmin: /^SDN\./,
};

export function isBuiltIn(role: string): boolean {
  return Object.hasOwn(exact, role) || Object.hasOwn(patterns, role);
}

/** The built-in roles (PVE::AccessControl create_roles, PVE 9). */
export function builtInRoles(): Map<string, ReadonlySet<string>> {
  const all = every();
  const roles = new Map<string, ReadonlySet<string>>();
  for (const [name, pattern] of Object.entries(patterns)) {
    roles.set(name, new Set(all.filter((privilege) => pattern.test(privilege))));
  }
  for (const [name, privileges] of Object.entries(exact)) {
    roles.set(name, new Set(privileges.split(" ").filter((privilege) => privilege !== "")));
  }
  return roles;
}

/** PVE 8 knows VM.Monitor instead of what PVE 9 tells apart, and no VM.Replicate. */
export function privilegesOf(version: Version, privileges: ReadonlySet<string>): Set<string> {
  if (version !== "8.4") return new Set(privileges);
  const older = [...privileges].map((name) =>
    name === "VM.GuestAgent.Unrestricted" ? "VM.Monitor" : name,
  );
  return new Set(older.filter((name) => !/^VM\.(?:GuestAgent\.|Replicate$)/.test(name)));
}

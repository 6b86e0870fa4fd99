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

/** The built-in roles that matter here, by name (PVE::AccessControl create_roles, PVE 9). */
export function builtInRoles(): Map<string, ReadonlySet<string>> {
  const all = every();
  const pick = (test: (privilege: string) => boolean) => new Set(all.filter(test));
  const vmUser = new Set(
    "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit VM.PowerMgmt".split(
      " ",
    ),
  );
  return new Map([
    ["Administrator", new Set(all)],
    ["NoAccess", new Set<string>()],
    [
      "PVEAdmin",
      pick(
        (name) =>
          !/^(?:Permissions\.|Sys\.(?:Modify|PowerMgmt|Incoming|AccessNetwork)|Realm\.Allocate$)/.test(
            name,
          ),
      ),
    ],
    ["PVEAuditor", pick((name) => name.endsWith(".Audit"))],
    ["PVEVMAdmin", pick((name) => name.startsWith("VM."))],
    ["PVEVMUser", vmUser],
    ["PVEDatastoreUser", new Set(["Datastore.AllocateSpace", "Datastore.Audit"])],
    ["PVEDatastoreAdmin", pick((name) => name.startsWith("Datastore."))],
    ["PVEPoolUser", new Set(["Pool.Audit"])],
    ["PVESysAdmin", new Set(["Sys.Audit", "Sys.Console", "Sys.Syslog"])],
  ]);
}

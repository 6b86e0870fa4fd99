import type { Facts, ProblemKind } from "../problem.ts";

/** One text of PVE's: what it means, what to do, and which Perl source says it. */
export interface RefusalRow {
  readonly pattern: RegExp;
  readonly kind: ProblemKind;
  readonly next?: string;
  readonly facts?: (match: RegExpExecArray) => Facts;
  /** Where the text comes from: package and file. */
  readonly source: string;
}

const startOver = "Read it again, then repeat the change on what it is now.";
const listThem = "List what there is and use one of those names.";

/**
 * The texts of PVE that mean something to a caller; the first row that matches counts, so the special ones come before the
 * general ones. They are texts of the API's answers and of failed tasks alike.
 */
export const refusalTable: readonly RefusalRow[] = [
  {
    pattern: /Configuration file 'nodes\/([^/']+)\/(qemu-server|lxc)\/(\d+)\.conf' does not exist/,
    kind: "not_found",
    next: "Look it up with list_guests: it may live on another node by now, or be gone.",
    facts: ([, node, folder, vmid]) => ({
      missingConfig: true,
      node,
      vmid: Number(vmid),
      type: folder === "lxc" ? "lxc" : "qemu",
    }),
    source: "pve-guest-common: src/PVE/AbstractConfig.pm (load_config)",
  },
  {
    pattern: /\b(?:VM|CT) is locked(?: \(([\w-]+)\))?/,
    kind: "locked",
    next: "Wait until the task that holds the lock ends (get_tasks), then try again; a lock that was left over is removed on the host with qm unlock or pct unlock.",
    facts: ([, lock]) => (lock === undefined ? {} : { lock }),
    source: "pve-guest-common: src/PVE/AbstractConfig.pm (check_lock)",
  },
  {
    pattern: /no quorum/,
    kind: "busy",
    next: "The cluster has lost its majority: reads work, changes do not until enough nodes are back (get_cluster).",
    facts: () => ({ quorum: false }),
    source: "pve-cluster: src/PVE/Cluster.pm (check_cfs_quorum, cfs_lock)",
  },
  {
    pattern:
      /can't a(?:c)?quire lock|can't lock file .*(?:got timeout|try again)|got lock request timeout|cfs-lock .* error/,
    kind: "busy",
    next: "Something else is being changed at the same time; try again in a few seconds.",
    source: "pve-common: src/PVE/Tools.pm (lock_file_full); pve-cluster: src/PVE/Cluster.pm",
  },
  {
    pattern: /Failed to obtain guest migration lock|got no worker upid/,
    kind: "busy",
    next: "A replication or another task is under way; try again in a few seconds.",
    source: "pve-guest-common: src/PVE/GuestHelpers.pm; pve-common: src/PVE/RESTEnvironment.pm",
  },
  {
    pattern: /checksum mismatch \(file change|detected modified configuration/,
    kind: "conflict",
    next: startOver,
    facts: () => ({ digest: true }),
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-common: src/PVE/Tools.pm (assert_if_modified)",
  },
  {
    pattern: /[Oo]nly root(?:@pam)?\b|user != root@pam/,
    kind: "forbidden",
    next: "PVE allows this to root@pam itself only, to no token and no role: do it on the host or in the web interface.",
    facts: () => ({ rootOnly: true }),
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-http-server: src/PVE/APIServer/AnyEvent.pm",
  },
  {
    pattern: /guest agent is not running|No QEMU guest agent configured/,
    kind: "conflict",
    next: "Enable the agent option, install qemu-guest-agent in the guest and start it; a fresh boot needs a moment.",
    facts: () => ({ agent: false }),
    source: "qemu-server: src/PVE/QemuServer/Agent.pm (assert_agent_available)",
  },
  {
    pattern: /is running - destroy failed|container is running|if VM is running/,
    kind: "conflict",
    next: "Stop it first (stop_guest).",
    facts: () => ({ running: true }),
    source: "qemu-server: src/PVE/QemuServer.pm; pve-container: src/PVE/API2/LXC.pm",
  },
  {
    pattern: /already running/,
    kind: "conflict",
    next: "Nothing to do: it runs.",
    facts: () => ({ running: true }),
    source:
      "qemu-server: src/PVE/QemuServer.pm (vm_start_nolock); pve-container: src/PVE/API2/LXC/Status.pm",
  },
  {
    pattern: /\bnot running\b/,
    kind: "conflict",
    next: "Start it first (start_guest), if it is to run.",
    facts: () => ({ running: false }),
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC/Status.pm",
  },
  {
    pattern: /protection mode|cannot remove protected volume/,
    kind: "conflict",
    next: "Take its protection off first, if it really is to go.",
    facts: () => ({ protected: true }),
    source:
      "pve-guest-common: src/PVE/AbstractConfig.pm (check_protection); pve-storage: src/PVE/Storage.pm",
  },
  {
    pattern: /running container is only possible from a snapshot/,
    kind: "conflict",
    next: "Name a snapshot to clone from, or stop the container first.",
    source: "pve-container: src/PVE/API2/LXC.pm (clone_vm)",
  },
  {
    pattern: /Custom certificate (?:key )?file exists but force flag is not set/,
    kind: "conflict",
    next: "Repeat the call with force: true to replace it.",
    facts: () => ({ certificate: "exists" }),
    source: "pve-manager: PVE/CertHelpers.pm (set_cert_files)",
  },
  {
    pattern:
      /already exists|already defined|already used|refusing to override existing file|force flag is not set|'force' is not set/,
    kind: "conflict",
    next: "Use another name or number, or look whether an earlier try made it already.",
    source:
      "pve-guest-common: src/PVE/AbstractConfig.pm; pve-storage: src/PVE/API2/Storage/Status.pm",
  },
  {
    pattern:
      /still in use by|is not empty|belongs already to pool|contains snapshots|if it's a template|is a template/,
    kind: "conflict",
    next: "Undo what it depends on first.",
    source:
      "pve-storage: src/PVE/Storage.pm; pve-access-control: src/PVE/API2/Pool.pm; qemu-server: src/PVE/API2/Qemu.pm",
  },
  {
    pattern: /hostname lookup '([^']+)' failed|no such cluster node '([^']+)'/,
    kind: "not_found",
    next: "Use a node of this cluster (get_cluster lists them).",
    facts: ([, looked, named]) => ({ node: looked ?? named }),
    source: "pve-cluster: src/PVE/Cluster.pm (remote_node_ip, check_node_exists)",
  },
  {
    pattern: /storage '([^']+)' (?:is disabled|is not available|is not online)/,
    kind: "conflict",
    next: "Use another storage or node, or enable it (list_storage).",
    facts: ([, storage]) => ({ storage }),
    source: "pve-storage: src/PVE/Storage.pm (storage_check_enabled)",
  },
  {
    pattern: /storage '([^']+)' does not exist/,
    kind: "not_found",
    next: "Use a storage that there is (list_storage).",
    facts: ([, storage]) => ({ storage }),
    source: "pve-storage: src/PVE/Storage.pm (storage_config)",
  },
  {
    pattern: /not configured for content-type|wrong content type|does not support content/,
    kind: "invalid_input",
    next: "Use a storage that takes this content (list_storage).",
    source: "pve-storage: src/PVE/API2/Storage/Status.pm; pve-storage: src/PVE/Storage.pm",
  },
  {
    pattern: /invalid server response|checksum mismatch: got/,
    kind: "invalid_input",
    next: "Check the URL and the checksum.",
    source:
      "pve-manager: PVE/API2/Nodes.pm (query_url_metadata); pve-common: src/PVE/Tools.pm (download_file_from_url)",
  },
  {
    pattern: /Linked clone feature is not supported/,
    kind: "unsupported",
    next: "Make a full clone (full: true), or clone a template.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (clone_vm)",
  },
  {
    pattern: /uses local storage/,
    kind: "unsupported",
    next: "Leave node out: only a guest whose disks are all on shared storage can be cloned to another node.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (clone_vm)",
  },
  {
    pattern: /not supported|feature is not available|not implemented/,
    kind: "unsupported",
    next: "This guest or its storage cannot do that; do it another way, or with another guest or storage.",
    source:
      "pve-storage: src/PVE/Storage.pm (volume_has_feature); qemu-server: src/PVE/API2/Qemu.pm",
  },
  {
    pattern:
      /no options specified|missing value for required option|same storage with same format|target is local node/,
    kind: "invalid_input",
    next: "Change something that differs from what it is now.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-common: src/PVE/SectionConfig.pm",
  },
  {
    pattern: /unable to read certificate|Setting certificate files failed/,
    kind: "invalid_input",
    next: "Check the PEM text; what was uploaded stays on the node, so the next try needs force.",
    source: "pve-manager: PVE/CertHelpers.pm (set_cert_files)",
  },
  {
    pattern: /does not exist|no such |not found\b/i,
    kind: "not_found",
    next: listThem,
    source: "everywhere: PVE dies with such texts where HTTP has a 404",
  },
  {
    pattern: /got timeout|Timeout while waiting/i,
    kind: "timeout",
    next: "It took longer than PVE waits; look at its present state before you try again.",
    source: "pve-common: src/PVE/Tools.pm (run_command)",
  },
];

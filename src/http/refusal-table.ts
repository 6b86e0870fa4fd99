import { missingRows } from "./refusal-missing.ts";
import type { RefusalRow } from "./refusal-row.ts";

const startOver = "Read it again, then repeat the change on what it is now.";

const rows: readonly RefusalRow[] = [
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
    pattern: /[Oo]nly root(?:@pam)?\b|user != root@pam|only allowed for root@pam/,
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
    pattern: /VM is paused - cannot shutdown/,
    kind: "conflict",
    next: "Start it first (start_guest resumes it), or stop it with mode: stop.",
    facts: () => ({ paused: true }),
    source: "qemu-server: src/PVE/API2/Qemu.pm (vm_shutdown)",
  },
  {
    pattern: /if it's a template|a template to a template|is a template/,
    kind: "conflict",
    next: "A template stays as it is: clone it (clone_vm, clone_container) and do it with the clone.",
    facts: () => ({ template: true }),
    source:
      "qemu-server: src/PVE/QemuServer.pm, src/PVE/API2/Qemu.pm; pve-container: src/PVE/LXC.pm",
  },
  {
    pattern: /used in HA resources and purge/,
    kind: "conflict",
    next: "Repeat delete_guest with purge: true, which takes it out of HA as well.",
    facts: () => ({ ha: true }),
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (destroy_vm)",
  },
  {
    pattern: /still in use by linked clone/,
    kind: "conflict",
    next: "Its linked clones live on its disks: delete those first, or leave it.",
    source: "pve-storage: src/PVE/Storage.pm (vdisk_free)",
  },
  {
    pattern: /contains snapshots|disk with snapshots/,
    kind: "conflict",
    next: "Delete its snapshots first.",
    source: "qemu-server: src/PVE/API2/Qemu.pm (template, move_vm_disk)",
  },
  {
    pattern: /is not most recent snapshot/,
    kind: "conflict",
    next: "This storage goes back to the newest snapshot only: delete the newer ones first.",
    source: "pve-storage: src/PVE/Storage/ZFSPoolPlugin.pm (volume_rollback_is_possible)",
  },
  {
    pattern: /belongs already to pool '([^']+)'/,
    kind: "conflict",
    next: "Take it out of that pool first, or repeat the call with allow-move.",
    facts: ([, pool]) => ({ pool }),
    source: "pve-manager: PVE/API2/Pool.pm (update_pool)",
  },
  {
    pattern: /pool '([^']+)' is not empty/,
    kind: "conflict",
    next: "Take its guests and storages out of it first.",
    facts: ([, pool]) => ({ pool }),
    source: "pve-manager: PVE/API2/Pool.pm (delete_pool)",
  },
  {
    pattern: /hotplug problem/,
    kind: "conflict",
    next: "The rest of the call has taken effect; stop the guest to change this, or leave it for its next start.",
    facts: () => ({ hotplug: false }),
    source: "qemu-server: src/PVE/QemuServer.pm (vmconfig_hotplug_pending)",
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
    pattern: /No space left on device|not enough (?:free )?space|insufficient free space/i,
    kind: "conflict",
    next: "Make room there, or use another storage (list_storage).",
    facts: () => ({ full: true }),
    source: "pve-common: src/PVE/Tools.pm (download_file_from_url); pve-storage: src/PVE/Storage",
  },
  {
    pattern: /Custom certificate (?:(?:key )?file )?exists but|Certificate does not expire within/,
    kind: "conflict",
    next: "Repeat the call with force: true to replace it.",
    facts: () => ({ certificate: "exists" }),
    source: "pve-manager: PVE/CertHelpers.pm (set_cert_files), PVE/API2/ACME.pm",
  },
  {
    pattern:
      /already exists|already defined|already used|already attached|refusing to override existing file|force flag is not set|'force' is not set/,
    kind: "conflict",
    next: "Use another name or number, or look whether an earlier try made it already.",
    source:
      "pve-guest-common: src/PVE/AbstractConfig.pm; pve-storage: src/PVE/API2/Storage/Status.pm",
  },
  {
    pattern: /storage '([^']+)' (?:is disabled|is not available|is not online)/,
    kind: "conflict",
    next: "Use another storage or node, or enable it (list_storage).",
    facts: ([, storage]) => ({ storage }),
    source: "pve-storage: src/PVE/Storage.pm (storage_check_enabled)",
  },
  {
    pattern:
      /not configured for content-type|wrong content type|does not support (?:content|container dir)|content type needs to be/,
    kind: "invalid_input",
    next: "Use a storage or a volume of that content type (list_storage).",
    source:
      "pve-storage: src/PVE/API2/Storage/Status.pm, src/PVE/Storage.pm; pve-container: src/PVE/LXC/Create.pm",
  },
  {
    pattern: /^download failed\b/,
    kind: "task_failed",
    next: "Check that the node reaches that address; its log says more (get_tasks with log_lines).",
    source: "pve-common: src/PVE/Tools.pm (download_file_from_url)",
  },
  {
    pattern: /invalid server response|checksum mismatch: got/,
    kind: "invalid_input",
    next: "Check the URL and the checksum.",
    source:
      "pve-manager: PVE/API2/Nodes.pm (query_url_metadata); pve-common: src/PVE/Tools.pm (download_file_from_url)",
  },
  {
    pattern: /not allowed for linked clones/,
    kind: "invalid_input",
    next: "Leave it out, or make a full clone (full: true).",
    source: "qemu-server: src/PVE/API2/Qemu.pm (clone_vm)",
  },
  {
    pattern: /Linked clone feature is not supported/,
    kind: "unsupported",
    next: "Make a full clone (full: true), or clone a template.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (clone_vm)",
  },
  {
    pattern: /uses local storage|to non-shared storage/,
    kind: "unsupported",
    next: "Leave node out: only a guest whose disks are all on shared storage can be cloned to another node.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (clone_vm)",
  },
  {
    pattern: /shrinking disks is not supported|unable to shrink disk/,
    kind: "unsupported",
    next: "Disks only grow: give a size above the present one.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm (resize_vm)",
  },
  {
    pattern: /groups have been migrated to rules/,
    kind: "unsupported",
    next: "This cluster has HA rules instead of groups (search_api).",
    source: "pve-ha-manager: src/PVE/API2/HA/Groups.pm",
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
      /no options specified|same storage with same format|target is local node|already at specified size/,
    kind: "invalid_input",
    next: "Change something that differs from what it is now.",
    source: "qemu-server: src/PVE/API2/Qemu.pm; pve-container: src/PVE/API2/LXC.pm",
  },
  {
    pattern: /missing value for required option '([^']+)'|reserved name|can't resize a cdrom/,
    kind: "invalid_input",
    next: "Correct what is named.",
    facts: ([, option]) => (option === undefined ? {} : { option }),
    source: "pve-common: src/PVE/SectionConfig.pm; qemu-server: src/PVE/API2/Qemu.pm",
  },
  {
    pattern: /ACME domain list in node configuration is missing/,
    kind: "conflict",
    next: "Set an ACME account and domains in the configuration of the node first (search_api acme).",
    source: "pve-manager: PVE/API2/ACME.pm",
  },
  {
    pattern: /without --online/,
    kind: "conflict",
    next: "Migrate it online, or stop it first (stop_guest).",
    facts: () => ({ running: true }),
    source: "qemu-server: src/PVE/API2/Qemu.pm (migrate_vm)",
  },
  {
    pattern: /unable to read certificate|Setting certificate files failed/,
    kind: "invalid_input",
    next: "Check the PEM text; what was uploaded stays on the node, so the next try needs force.",
    source: "pve-manager: PVE/CertHelpers.pm (set_cert_files)",
  },
  {
    pattern: /powerdown failed - got timeout|container did not stop/,
    kind: "timeout",
    next: "The guest has not shut down in time: stop_guest with a longer timeout_s, or with mode: stop.",
    source: "qemu-server: src/PVE/QemuServer.pm (_do_vm_stop); pve-container: src/PVE/LXC.pm",
  },
  {
    pattern: /got timeout|Timeout while waiting/i,
    kind: "timeout",
    next: "It took longer than PVE waits; look at its present state before you try again.",
    source: "pve-common: src/PVE/Tools.pm (run_command)",
  },
];

/**
 * The texts of PVE that mean something to a caller; the first row that matches counts, so the special ones come before the
 * general ones. They are texts of the API's answers and of failed tasks alike.
 */
export const refusalTable: readonly RefusalRow[] = [...rows, ...missingRows];

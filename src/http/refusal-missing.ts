import type { RefusalRow } from "./refusal-row.ts";

/** What PVE says of things that are not there, by what they are. HTTP's 404 it does not know. */
export const missingRows: readonly RefusalRow[] = [
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
    pattern: /hostname lookup '([^']+)' failed|no such cluster node '([^']+)'/,
    kind: "not_found",
    next: "Use a node of this cluster (get_cluster lists them).",
    facts: ([, looked, named]) => ({ node: looked ?? named }),
    source: "pve-cluster: src/PVE/Cluster.pm (remote_node_ip, check_node_exists)",
  },
  {
    pattern: /storage '([^']+)' does not exist|^No such storage\b/,
    kind: "not_found",
    next: "Use a storage that there is (list_storage).",
    facts: ([, storage]) => (storage === undefined ? {} : { storage }),
    source: "pve-storage: src/PVE/Storage.pm (storage_config), src/PVE/API2/Storage/Status.pm",
  },
  {
    pattern:
      /volume '([^']+)' does not exist|volume_size_info on '([^']+)' failed|no such volume '([^']+)'/,
    kind: "not_found",
    next: "See with list_storage, with the storage named, what it holds.",
    facts: ([, ...volumes]) => ({ volume: volumes.find((volume) => volume !== undefined) }),
    source:
      "qemu-server: src/PVE/API2/Qemu.pm; pve-storage: src/PVE/Storage.pm, src/PVE/API2/Storage/Content.pm",
  },
  {
    pattern: /pool '([^']+)' does not exist/,
    kind: "not_found",
    next: "Use a pool that there is (list_guests shows the pools of guests), or leave pool out.",
    facts: ([, pool]) => ({ pool }),
    source: "pve-access-control: src/PVE/RPCEnvironment.pm; pve-manager: PVE/API2/Pool.pm",
  },
  {
    pattern: /bridge '([^']+)' does not exist/,
    kind: "not_found",
    next: "Give the network device a bridge that the node has.",
    facts: ([, bridge]) => ({ bridge }),
    source: "qemu-server: src/usr/pve-bridge; pve-common: src/PVE/Network.pm",
  },
  {
    pattern: /disk '([^']+)' does not exist/,
    kind: "not_found",
    next: "See the disks that the guest has with get_vm or get_container.",
    facts: ([, disk]) => ({ disk }),
    source: "qemu-server: src/PVE/API2/Qemu.pm (resize_vm, move_vm_disk)",
  },
  {
    pattern: /snapshot '([^']+)' does not exist/,
    kind: "not_found",
    next: 'See the snapshots that there are with get_vm or get_container, include: ["snapshots"].',
    facts: ([, snapshot]) => ({ snapshot }),
    source: "pve-guest-common: src/PVE/AbstractConfig.pm (snapshot_rollback, snapshot_delete)",
  },
  {
    pattern: /no such task/,
    kind: "not_found",
    next: "Find it with get_tasks; a task that has only just begun may take a moment to be seen.",
    source: "pve-manager: PVE/API2/Tasks.pm",
  },
  {
    pattern: /Agent error: failed to open file '([^']+)'.*No such file/,
    kind: "not_found",
    next: "Check the path inside the guest.",
    facts: ([, file]) => ({ file }),
    source: "qemu-server: src/PVE/API2/Qemu/Agent.pm (file-read)",
  },
  {
    pattern: /does not exist|no such |not found\b|no rule at position|not HA managed/i,
    kind: "not_found",
    next: "List what there is and use one of those names.",
    source: "everywhere: PVE dies with such texts where HTTP has a 404",
  },
];

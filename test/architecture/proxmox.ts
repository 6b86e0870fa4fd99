/**
 * The folders of `src/proxmox` from the ground up, each with those that it imports. Only what stands before it may be named, so
 * no two folders import each other, not even by way of others. The files that lie in none put the folders together.
 */
export const folders: Readonly<Record<string, readonly string[]>> = {
  api: [],
  tasks: ["api"],
  cluster: ["api", "tasks"],
  guests: ["api", "tasks", "cluster"],
  storage: ["api", "tasks", "cluster", "guests"],
  config: ["api", "tasks", "cluster", "guests", "storage"],
  disks: ["api", "tasks", "cluster", "guests", "storage", "config"],
  creation: ["api", "tasks", "cluster", "guests", "storage", "config"],
  clones: ["api", "tasks", "cluster", "guests", "config", "creation"],
  snapshots: ["api", "tasks", "cluster", "guests"],
  backups: ["api", "tasks", "cluster", "guests", "storage"],
  certificates: ["api", "tasks", "cluster", "guests"],
};

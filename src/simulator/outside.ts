import { type CertificateInfo, describe } from "./certificates.ts";
import type { Cluster } from "./cluster.ts";
import { purgeGuest, removeGuest, switchOff } from "./guests.ts";
import { carryDisks } from "./migration.ts";
import { shutdownWork, startWork, stopWork, taskPrefix } from "./power.ts";
import type { Work } from "./tasks.ts";
import { replaceKey } from "./tickets.ts";
import { type Guest, type GuestType, type Volume, volumeKey } from "./world.ts";
import { addGuest, type GuestPlan } from "./world-builder.ts";

/** Somebody else's hand: changes the world past our client and its request log, with the traces that PVE leaves of them. */
export class Outside {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Gone, with a task and purged; whatever state it was in. */
  destroy(vmid: number): void {
    const guest = this.#guest(vmid);
    this.#traceGuest(guest, "destroy");
    this.#remove(guest);
  }

  /** There, finished, and without figures until the next round of its node. */
  create(plan: GuestPlan): Guest {
    this.#cluster.catchUp();
    const bornAt = this.#cluster.now;
    const guest = addGuest(this.#cluster.world, { ...plan, traits: { ...plan.traits, bornAt } });
    this.#traceGuest(guest, "create");
    return guest;
  }

  /** Destroyed and taken again at once: the row shows the dead guest's figures until the next round. */
  retake(
    vmid: number,
    plan: { readonly type?: GuestType; readonly name: string; readonly node?: string },
  ): Guest {
    const { node } = this.#guest(vmid);
    this.destroy(vmid);
    return this.create({ vmid, node, ...plan });
  }

  rename(vmid: number, name: string): void {
    const guest = this.#guest(vmid);
    this.setConfig(vmid, { [guest.type === "qemu" ? "name" : "hostname"]: name });
  }

  /** A synchronous edit: a VM's stands in the cluster log, a container's leaves no trace. `undefined` deletes a key. */
  setConfig(vmid: number, changes: Readonly<Record<string, string | undefined>>): void {
    const guest = this.#guest(vmid);
    const words: string[] = [];
    for (const [key, value] of Object.entries(changes)) {
      words.push(value === undefined ? `-delete ${key}` : `-${key} ${value}`);
      if (value === undefined) delete guest.config[key];
      else guest.config[key] = value;
    }
    if (guest.type !== "qemu") return;
    const { log, now } = this.#cluster;
    log.write(now, guest.node, "root@pam", `update VM ${vmid}: ${words.join(" ")}`);
  }

  /** On another node from now on; its figures are still the old node's. */
  migrate(vmid: number, node: string): void {
    const guest = this.#guest(vmid);
    this.#traceGuest(guest, guest.type === "qemu" ? "igrate" : "migrate");
    carryDisks(this.#cluster, guest, node, (storage) => storage);
    guest.node = node;
  }

  /** A start task of root@pam; answers its UPID. */
  start(vmid: number): string {
    const guest = this.#guest(vmid);
    return this.#task(guest, "start", (log) => startWork(this.#cluster, guest, log));
  }

  /** A stop task of root@pam; answers its UPID. */
  stop(vmid: number): string {
    const guest = this.#guest(vmid);
    return this.#task(guest, "stop", (log) => stopWork(this.#cluster, guest, log));
  }

  /** A shutdown task of root@pam that waits 60 s; answers its UPID. */
  shutdown(vmid: number): string {
    const guest = this.#guest(vmid);
    const order = { timeoutMs: 60_000, forceStop: false };
    return this.#task(guest, "shutdown", (log) => shutdownWork(this.#cluster, guest, log, order));
  }

  /** A task of root@pam (`snapshot`, `delsnapshot` …) that takes so long and leaves nothing that is shown. */
  work(vmid: number, verb: string, lastsMs: number): string {
    function* work(): Work {
      yield lastsMs;
    }
    return this.#task(this.#guest(vmid), verb, work);
  }

  /** The guest switches itself off: no task, no log. */
  powerOff(vmid: number): void {
    switchOff(this.#guest(vmid));
  }

  lock(vmid: number, lock: string): void {
    this.#guest(vmid).config["lock"] = lock;
  }

  unlock(vmid: number): void {
    delete this.#guest(vmid).config["lock"];
  }

  /** An ISO image is uploaded through a node, as a task; answers its volume. */
  upload(storage: string, node: string, filename: string): Volume {
    this.#cluster.catchUp();
    const target = this.#cluster.world.storages.get(storage);
    if (!target) throw new Error(`no storage ${storage} in the simulated world`);
    const volume: Volume = {
      volid: `${storage}:iso/${filename}`,
      node: target.shared ? "" : node,
      content: "iso",
      format: "iso",
      sizeBytes: 1024 ** 2,
      ctime: Math.floor(this.#cluster.now / 1000),
    };
    this.#cluster.world.volumes.set(volumeKey(volume.volid, volume.node), volume);
    this.#trace({ node, type: "imgcopy", id: "" });
    return volume;
  }

  /** A custom certificate is put on a node; synchronous, so no task and no log tells of it. */
  replaceCertificate(node: string, pem: string): CertificateInfo {
    const { certificates } = this.#node(node);
    const info = describe(pem, "pveproxy-ssl.pem");
    if (!info) throw new Error("no certificate");
    certificates.custom = { cert: pem, key: "", info };
    return info;
  }

  /** Deletes the key that tickets are signed with: all of them are void, as after a restore of /etc/pve. */
  voidTickets(): void {
    this.#cluster.catchUp();
    replaceKey(this.#cluster.world, this.#cluster.now);
  }

  /** Crashed: its guests and workers with it; its figures stand for up to five minutes. */
  nodeDown(name: string): void {
    const node = this.#node(name);
    node.online = false;
    this.#cluster.tasks.killAll(name);
    for (const guest of this.#cluster.world.guests.values()) {
      if (guest.node === name) switchOff(guest);
    }
  }

  /** Booted; guests stay off unless `onboot` is set. */
  nodeUp(name: string): void {
    const node = this.#node(name);
    node.online = true;
    node.bootedAt = this.#cluster.now;
    this.#cluster.log.restart(name);
    for (const guest of this.#cluster.world.guests.values()) {
      if (guest.node === name && guest.config["onboot"] === "1") this.start(guest.vmid);
    }
  }

  #guest(vmid: number): Guest {
    this.#cluster.catchUp();
    const guest = this.#cluster.world.guests.get(vmid);
    if (!guest) throw new Error(`no guest ${vmid} in the simulated world`);
    return guest;
  }

  #node(name: string) {
    this.#cluster.catchUp();
    const node = this.#cluster.world.nodes.get(name);
    if (!node) throw new Error(`no node ${name} in the simulated world`);
    return node;
  }

  #remove(guest: Guest): void {
    removeGuest(this.#cluster, guest);
    purgeGuest(this.#cluster, guest);
  }

  #traceGuest(guest: Guest, verb: string): void {
    const { node, vmid } = guest;
    const type = `${taskPrefix(guest)}${verb}`;
    this.#trace({ node, type, id: String(vmid) });
  }

  /** A task that is over as soon as somebody looks. */
  #trace(about: { readonly node: string; readonly type: string; readonly id: string }): void {
    function* work(): Work {}
    this.#cluster.tasks.start({ ...about, user: "root@pam", delayMs: 0, work });
    this.#cluster.catchUp();
  }

  #task(
    guest: Guest,
    verb: string,
    work: Parameters<Cluster["tasks"]["start"]>[0]["work"],
  ): string {
    const type = `${taskPrefix(guest)}${verb}`;
    const { node, vmid } = guest;
    return this.#cluster.tasks.start({ node, type, id: String(vmid), user: "root@pam", work });
  }
}

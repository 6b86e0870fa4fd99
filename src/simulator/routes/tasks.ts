import { listOf, taskStatusFormat } from "../formats.ts";
import type { Values } from "../parameters.ts";
import type { Access } from "../permissions.ts";
import { badParameters } from "../refusal.ts";
import { type Call, Page, Plain, type Route, vmidParameter } from "../route.ts";
import type { Task } from "../tasks.ts";

const count = { type: "integer", optional: true, minimum: 0 } as const;
const time = { type: "integer", optional: true } as const;
const flag = { type: "boolean", optional: true } as const;
const text = { type: "string", optional: true } as const;
const upidPattern =
  /^UPID:([a-zA-Z0-9][a-zA-Z0-9-]*):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$/;

/** PVE::API2::Tasks. */
export function taskRoutes(): Route[] {
  return [
    {
      method: "GET",
      path: "/nodes/{node}/tasks",
      parameters: {
        source: { type: "string", optional: true, enum: ["archive", "active", "all"] },
        start: count,
        limit: count,
        since: time,
        until: time,
        errors: flag,
        typefilter: text,
        userfilter: text,
        vmid: { ...vmidParameter, optional: true },
        statusfilter: { ...text, list: true, format: listOf(taskStatusFormat) },
      },
      handle: listTasks,
    },
    { method: "GET", path: "/nodes/{node}/tasks/{upid}/status", handle: taskStatus },
    {
      method: "GET",
      path: "/nodes/{node}/tasks/{upid}/log",
      parameters: { start: count, limit: count, download: flag },
      handle: taskLog,
    },
    { method: "DELETE", path: "/nodes/{node}/tasks/{upid}", handle: stopTask },
  ];
}

/** GET /nodes/{node}/tasks: a user sees its own and its tokens' tasks, a token only its own. */
function listTasks({ cluster, access, values }: Call): Page {
  const node = values["node"] ?? "";
  const { source = "archive" } = values;
  const seesAll = access.has(`/nodes/${node}`, "Sys.Audit");
  const tasks = cluster.tasks.list(node).reverse();
  const visible = tasks.filter((task) => seesAll || owns(access, task));
  const active = source === "archive" ? [] : visible.filter((task) => task.endtime === undefined);
  const done = source === "active" ? [] : visible.filter((task) => task.endtime !== undefined);
  done.sort((a, b) => (b.endtime ?? 0) - (a.endtime ?? 0));
  const found = [...active, ...done].filter((task) => matches(task, values));
  const start = Number(values["start"] ?? 0);
  const limit = Number(values["limit"] ?? 50);
  const page = found.slice(start, limit === 0 ? undefined : start + limit);
  return new Page(page.map(listEntry), found.length);
}

function matches(task: Task, values: Values): boolean {
  const { typefilter, userfilter, vmid, since, until, errors, statusfilter } = values;
  if (typefilter !== undefined && task.type !== typefilter) return false;
  if (userfilter !== undefined && !task.user.includes(userfilter)) return false;
  if (vmid !== undefined && task.id !== vmid) return false;
  if (since !== undefined && task.starttime < Number(since)) return false;
  if (until !== undefined && task.starttime > Number(until)) return false;
  if (errors === "1" && (task.exitstatus === undefined || task.exitstatus === "OK")) return false;
  return statusfilter === undefined || statusfilter.split(/[,;\s]+/).includes(statusWord(task));
}

/** PVE::Tools upid_normalize_status_type; running tasks count as `unknown`. */
function statusWord({ exitstatus }: Task): string {
  if (exitstatus === undefined || exitstatus === "unexpected status") return "unknown";
  if (exitstatus === "OK") return "ok";
  return exitstatus.startsWith("WARNINGS:") ? "warning" : "error";
}

/** Active tasks keep `!token` in the user, archived ones are split. */
function listEntry(task: Task): Record<string, unknown> {
  const { upid, node, pid, pstart, starttime, type, id, endtime } = task;
  const entry = { upid, node, pid, pstart, starttime, type, id };
  if (endtime === undefined) return { ...entry, user: task.user, status: "RUNNING", saved: "0" };
  return { ...entry, ...splitUser(task.user), endtime, status: task.exitstatus };
}

/** `user@realm!token` as two fields. */
export function splitUser(name: string): { user: string; tokenid?: string } {
  const [user = "", tokenid] = name.split("!");
  return tokenid === undefined ? { user } : { user, tokenid };
}

function owns(access: Access, task: Task): boolean {
  if (task.user === access.name) return true;
  return !access.identity.token && task.user.split("!")[0] === access.identity.user.id;
}

/** The owner in the UPID decides, whether or not such a task exists. */
function judge({ access, values }: Call, privilege: string): string {
  const upid = values["upid"] ?? "";
  const user = upidPattern.exec(upid)?.[7];
  if (user === undefined) throw badParameters({ upid: "unable to parse worker upid" });
  const own =
    user === access.name || (!access.identity.token && user.startsWith(`${access.name}!`));
  if (!own) access.need(`/nodes/${values["node"]}`, privilege);
  return upid;
}

/** GET …/{upid}/status */
function taskStatus(call: Call): unknown {
  const upid = judge(call, "Sys.Audit");
  const task = onNode(call, upid);
  if (!task) throw badParameters({ upid: "no such task" });
  const { node, pid, pstart, starttime, type, id, exitstatus } = task;
  const fields = { upid, node, pid, pstart, starttime, type, id, ...splitUser(task.user) };
  return exitstatus === undefined
    ? { ...fields, status: "running" }
    : { ...fields, status: "stopped", exitstatus };
}

/** GET …/{upid}/log: an empty log and a missing file are one line each, with 200. */
function taskLog(call: Call): Page | Plain {
  const { values } = call;
  const task = onNode(call, judge(call, "Sys.Audit"));
  const empty = task ? "no content" : "unable to open file - No such file or directory";
  const lines = task && task.lines.length > 0 ? task.lines : [empty];
  if (values["download"] === "1") {
    for (const key of ["start", "limit"]) {
      if (values[key] !== undefined) {
        throw badParameters({ [key]: "Parameter can't be used in combination with 'download'" });
      }
    }
    return new Plain(`${(task?.lines ?? []).join("\n")}\n`);
  }
  const numbered = lines.map((t, index) => ({ n: index + 1, t }));
  const start = Number(values["start"] ?? 0);
  const limit = Number(values["limit"] ?? 50);
  const page = numbered.slice(start, limit === 0 ? undefined : start + limit);
  return new Page(page, numbered.length);
}

/** DELETE …/{upid}: stopping a finished or unknown task is a silent success. */
function stopTask(call: Call): null {
  const upid = judge(call, "Sys.Modify");
  if (onNode(call, upid)) call.cluster.tasks.stop(upid);
  return null;
}

function onNode({ cluster, values }: Call, upid: string): Task | undefined {
  const task = cluster.tasks.find(upid);
  return task?.node === values["node"] ? task : undefined;
}

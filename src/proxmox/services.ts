import type { Call } from "./api/call.ts";
import type { Verbs } from "./api/verbs.ts";
import { Acme } from "./certificates/acme.ts";
import type { Certificates } from "./certificates/certificates.ts";
import type { Recognitions } from "./certificates/recognition.ts";
import type { Lookup } from "./cluster/lookup.ts";
import { Metrics } from "./cluster/metrics.ts";
import type { Changes } from "./guests/changes.ts";
import type { Downloads } from "./storage/downloads.ts";
import type { Storages } from "./storage/storages.ts";
import { type UploadOrder, Uploads } from "./storage/uploads.ts";
import { TaskList } from "./tasks/task-list.ts";
import { TaskStops } from "./tasks/task-stop.ts";
import type { Tasks } from "./tasks/tasks.ts";

/** What the client has; looked into when it is needed, for some of it comes later. */
interface Client {
  readonly principal: string;
  readonly verbs: Verbs;
  readonly lookup: Lookup;
  readonly tasks: Tasks;
  readonly storages: Storages;
  readonly certificates: Certificates;
  readonly downloads: Downloads;
}

/** Files, figures, tasks and certificates: what is not about one guest. */
export class Services {
  readonly uploads: Uploads;
  readonly metrics: Metrics;
  readonly acme: Acme;
  readonly taskList: TaskList;
  readonly taskStops: TaskStops;

  constructor(client: Client, changes: Changes, recognitions: Recognitions) {
    const { verbs, lookup, storages, principal, certificates } = client;
    const where = (order: UploadOrder, call: Call) => client.downloads.where(order, call);
    const node = (name: string, call: Call) => certificates.node(name, call);
    this.uploads = new Uploads({ verbs, lookup, storages, where, changes, principal });
    this.metrics = new Metrics({ verbs, lookup, node, place: (...of) => storages.place(...of) });
    this.acme = new Acme({ verbs, certificates, recognitions, changes, tasks: client.tasks });
    this.taskList = new TaskList(verbs);
    this.taskStops = new TaskStops(verbs, client.tasks);
  }
}

import type { Call, Progress } from "../api/call.ts";
import type { Task, TaskReport } from "./task.ts";

/** How long one stage may take before it counts as lost to us. */
const stageMs = 6 * 3_600_000;

/** Several tasks of one change, one after the other: whoever waits for the first hears of all of them. */
export class Stages {
  readonly #count: number;
  #index = 0;
  #title: string;
  readonly #listeners = new Set<(progress: Progress) => void>();

  /** `count`: how many there are, the first of which begins now. */
  constructor(count: number, title: string) {
    this.#count = Math.max(1, count);
    this.#title = title;
  }

  /** The next stage begins. */
  next(title: string): void {
    this.#index = Math.min(this.#index + 1, this.#count - 1);
    this.#title = title;
    this.#tell({ message: "begins", done: 0 });
  }

  /** The first task, whose end is the end of them all. */
  whole(task: Task): Task {
    return {
      upid: task.upid,
      settle: async (options) => {
        const { onProgress } = options;
        if (!onProgress) return task.settle(options);
        const tell = (progress: Progress) => onProgress(this.#within(progress));
        this.#listeners.add(tell);
        try {
          return await task.settle({ ...options, onProgress: tell });
        } finally {
          this.#listeners.delete(tell);
        }
      },
    };
  }

  /** Waits for the task of the stage that runs, on behalf of whoever waits for the whole. */
  settle(task: Task, call: Call): Promise<TaskReport> {
    const onProgress = (progress: Progress) => this.#tell(progress);
    return task.settle({ timeoutMs: stageMs, call, onProgress });
  }

  #tell(progress: Progress): void {
    for (const tell of this.#listeners) tell(progress);
  }

  /** `2/3 creates VM 105: transferred …`; the stages share the bar in equal parts. */
  #within({ done, message }: Progress): Progress {
    const stage = this.#count === 1 ? "" : `${this.#index + 1}/${this.#count} `;
    const text = `${stage}${this.#title}: ${message}`.slice(0, 160);
    const share = done === undefined ? {} : { done: (this.#index + done) / this.#count };
    return { message: text, ...share };
  }
}

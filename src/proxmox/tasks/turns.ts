import type { Clock } from "../../clock.ts";
import type { Problem } from "../../problem.ts";
import type { Call } from "../api/call.ts";
import { Slots } from "./slots.ts";

/** What wants its turn. */
export interface Turn {
  /** How many may be in flight in a lane, whichever call began them. */
  readonly atOnce: number;
  /** Until when to wait for one's turn, as clock time in ms. */
  readonly until: number;
  /** What the others do meanwhile: `clones of guests on pve1 are being made`. */
  readonly others: (lane: string) => string;
  /** The turn has not come in time. */
  readonly late: (lane: string) => Problem;
}

/** Asked right before something is sent, with the lane that it goes in; throws where there is no room, for `run` to wait. */
export type Take = (lane: string) => void;

/** Bounds what is in flight at the same time, lane by lane. */
export class Turns {
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Slots>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Runs `once`; where there is no room, waits outside of whatever `once` holds and runs it anew, for who waits knows nothing. The turn
   * is kept where `goesOn` says so, and given back with `free` by whoever sees the end. Throws `late`, and the signal's reason.
   */
  async run<T>(
    { atOnce, until, others, late }: Turn,
    call: Call,
    once: (take: Take, tries: number) => Promise<T>,
    goesOn: (result: T) => boolean,
  ): Promise<T> {
    let held: string | undefined;
    const letGo = () => {
      if (held !== undefined) this.free(held);
      held = undefined;
    };
    for (let tries = 1; ; tries++) {
      const noRoom = new Error("there is no room");
      let full: string | undefined;
      const take = (lane: string) => {
        if (held === lane) return;
        letGo();
        full = this.#slots(lane).try(atOnce) ? undefined : lane;
        if (full !== undefined) throw noRoom;
        held = lane;
      };
      try {
        const result = await once(take, tries);
        if (!goesOn(result)) letGo();
        return result;
      } catch (error) {
        letGo();
        if (error !== noRoom || full === undefined) throw error;
      }
      call.progress?.({ message: `waits for its turn: ${atOnce} ${others(full)}` });
      const came = await this.#slots(full).take(atOnce, until, call.signal);
      if (came) held = full;
      if (call.signal.aborted) letGo();
      call.signal.throwIfAborted();
      if (!came) throw late(full);
    }
  }

  /** Gives one back. */
  free(lane: string): void {
    this.#slots(lane).free();
  }

  #slots(lane: string): Slots {
    const slots = this.#lanes.get(lane) ?? new Slots(this.#clock);
    this.#lanes.set(lane, slots);
    return slots;
  }
}

/**
 * A host's clock beside ours. Its answers are stamped in whole seconds (`Date`), so each only bounds how far it is ahead; together
 * they tell it to within milliseconds.
 */
export class HostClock {
  #least = Number.NEGATIVE_INFINITY;
  #most = Number.POSITIVE_INFINITY;

  /** At least how far it is ahead of ours, in ms; 0 as long as no answer told. What is dated by it is rather too old than too young. */
  get aheadMs(): number {
    return Number.isFinite(this.#least) ? this.#least : 0;
  }

  /** An answer that was asked for and had at these times of ours is stamped with this one of the host's. All in ms. */
  heard(date: number, askedAt: number, hadAt: number): void {
    const [least, most] = [date - hadAt, date + 1_000 - askedAt];
    this.#least = Math.max(this.#least, least);
    this.#most = Math.min(this.#most, most);
    // Set since, or another host's.
    if (this.#least > this.#most) [this.#least, this.#most] = [least, most];
  }
}

/**
 * Who waits in an engine, first come, first served; a preempted one goes before
 * all others. Taking, leaving and coming back cost the same however many wait.
 */
import type { Entry } from './entry.ts';

const COMPACTED_FROM = 1024;

export class WaitingLine {
  #arrived: (Entry | null)[] = [];
  #head = 0;
  /** The one preempted last is next. */
  readonly #preempted: Entry[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(entry: Entry): void {
    this.#arrived.push(entry);
    this.#length += 1;
  }

  pushFront(entry: Entry): void {
    this.#preempted.push(entry);
    this.#length += 1;
  }

  first(): Entry | null {
    for (let last = this.#preempted.at(-1); last !== undefined; last = this.#preempted.at(-1)) {
      if (last.state === 'waiting') return last;
      this.#preempted.pop();
    }
    while (this.#head < this.#arrived.length) {
      const entry = this.#arrived[this.#head];
      if (entry?.state === 'waiting') return entry;
      this.#skip();
    }
    return null;
  }

  /** Takes out who is first. */
  shift(): void {
    const entry = this.first();
    if (entry === null) return;
    this.#length -= 1;
    if (this.#preempted.at(-1) === entry) this.#preempted.pop();
    else this.#skip();
  }

  /** For one of the line that leaves it: its state says so, its place is skipped later. */
  left(): void {
    this.#length -= 1;
  }

  #skip(): void {
    this.#arrived[this.#head] = null;
    this.#head += 1;
    if (this.#head < COMPACTED_FROM || this.#head * 2 < this.#arrived.length) return;
    this.#arrived = this.#arrived.slice(this.#head);
    this.#head = 0;
  }
}

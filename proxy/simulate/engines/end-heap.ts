/** The decoding sequences by the step that ends them, the earliest on top; any one can be taken out. */
import type { Entry } from './entry.ts';

export class EndHeap {
  readonly #entries: Entry[] = [];

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#rise(this.#entries.length - 1, entry);
  }

  /** Entries that are not in it are ignored. */
  remove(entry: Entry): void {
    const index = entry.heapIndex;
    if (index < 0) return;
    entry.heapIndex = -1;
    const last = this.#entries.pop();
    if (last === undefined || last === entry) return;
    this.#rise(index, last);
    this.#sink(last.heapIndex, last);
  }

  #rise(from: number, entry: Entry): void {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#entries[parentIndex];
      if (parent === undefined || parent.endStep <= entry.endStep) break;
      this.#place(index, parent);
      index = parentIndex;
    }
    this.#place(index, entry);
  }

  #sink(from: number, entry: Entry): void {
    let index = from;
    for (;;) {
      const left = this.#entries[2 * index + 1];
      const right = this.#entries[2 * index + 2];
      if (left === undefined) break;
      const child = right !== undefined && right.endStep < left.endStep ? right : left;
      if (child.endStep >= entry.endStep) break;
      const childIndex = child.heapIndex;
      this.#place(index, child);
      index = childIndex;
    }
    this.#place(index, entry);
  }

  #place(index: number, entry: Entry): void {
    this.#entries[index] = entry;
    entry.heapIndex = index;
  }
}

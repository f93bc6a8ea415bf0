/** The turns of a chat while they are read. */
import type { Turn } from './chat.ts';

export class TurnList {
  readonly turns: Turn[] = [];
  /** Of the calls made so far, by their ids. */
  readonly #names = new Map<string, string>();

  add(...turns: readonly Turn[]): void {
    for (const turn of turns) {
      this.turns.push(turn);
      if (turn.role !== 'assistant') continue;
      for (const { id, name } of turn.calls) if (id !== null) this.#names.set(id, name);
    }
  }

  /** The name that the last call with an id has; null where there is none. */
  nameOfCall(id: string | null): string | null {
    return id === null ? null : (this.#names.get(id) ?? null);
  }
}

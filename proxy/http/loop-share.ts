/**
 * Long work in short steps: all of it together gets a few milliseconds of each
 * turn of the event loop, so that no body holds up everybody else's events.
 */

/** Of one turn; a step that is under way then is not broken off. */
const MS_PER_TURN = 2;

interface Work {
  /** Does a little; true when nothing is left to do. */
  readonly step: () => boolean;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class LoopShare {
  /** Each in its turn does one step. */
  readonly #waiting: Work[] = [];
  /** When the share of the present turn is used up; null when nothing was done in it yet. */
  #spentAtMs: number | null = null;

  /**
   * Runs a step again and again until it returns true: at once while this turn's
   * share lasts and nobody waits, else in later turns, a step at a time. Rejects
   * with what a step throws.
   */
  run(step: () => boolean): Promise<void> {
    return new Promise((done, failed) => {
      const work = { step, done, failed };
      const endMs = this.#spentAtMs ?? this.#beginTurn();
      let goesOn = true;
      while (goesOn && this.#waiting.length === 0 && performance.now() < endMs)
        goesOn = advance(work);
      if (goesOn) this.#waiting.push(work);
    });
  }

  #beginTurn(): number {
    this.#spentAtMs = performance.now() + MS_PER_TURN;
    setImmediate(() => this.#nextTurn());
    return this.#spentAtMs;
  }

  #nextTurn(): void {
    this.#spentAtMs = null;
    if (this.#waiting.length === 0) return;
    const endMs = this.#beginTurn();
    while (performance.now() < endMs) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      if (advance(work)) this.#waiting.push(work);
    }
  }
}

/** Does one step; false when that was the last. */
function advance({ step, done, failed }: Work): boolean {
  try {
    if (!step()) return true;
    done();
  } catch (error) {
    failed(error);
  }
  return false;
}

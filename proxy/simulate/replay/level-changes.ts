/** Changes of level as decisions show them: the same measure for a log and for what is replayed. */
export class LevelChanges {
  /** By instance; under null whatever came last, for decisions that name no instance. */
  readonly #levels = new Map<string | null, string>();
  #ofInstances = 0;
  #ofAny = 0;

  decided(instance: string | null, level: string): void {
    if (this.#moved(null, level)) this.#ofAny += 1;
    if (instance !== null && this.#moved(instance, level)) this.#ofInstances += 1;
  }

  /** @param instances of the log: with just one, every decision is about it */
  count(instances: number): number {
    return instances === 1 ? this.#ofAny : this.#ofInstances;
  }

  #moved(key: string | null, level: string): boolean {
    const before = this.#levels.get(key) ?? 'low';
    this.#levels.set(key, level);
    return before !== level;
  }
}

/**
 * Keeps what was learned over a restart: reads it once, writes it now and then
 * when there is more, and at the end. A state that can't be read is set aside
 * and told of; the process starts with nothing learned, as it did the first time.
 */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { LengthForecasts } from './length-forecasts.ts';
import { groupsFrom, snapshotOf } from './length-snapshot.ts';

/** Where the state lies. */
export interface StateStore {
  /** null: there is none yet. @throws Error when it is there and can't be read, or is too large */
  read(): Promise<string | null>;
  /** All of it or nothing. @throws Error when it can't be written; what was there is still there then */
  write(text: string): Promise<void>;
  /** Moves what is there out of the way. @returns its new name */
  setAside(): Promise<string>;
}

const STATE_VERSION = 1;
const SAVE_INTERVAL_MS = 30_000;

export interface LearnedStateParts {
  readonly store: StateStore;
  readonly lengths: LengthForecasts;
  readonly clock: Clock;
  readonly log: Log;
}

export class LearnedState {
  readonly #parts: LearnedStateParts;
  #savedLearned = 0;
  #cancelNext = () => {};
  #saving: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(parts: LearnedStateParts) {
    this.#parts = parts;
  }

  /** Restores what there is. Never rejects for what it holds. @throws Error when it can't be set aside */
  async restore(): Promise<void> {
    const { store, lengths, log } = this.#parts;
    const why = await this.#take().catch((error: unknown) => reasonOf(error));
    if (why !== null) {
      const keptAs = await store.setAside();
      log.warn('Learned state set aside', { why, keptAs });
    }
    this.#savedLearned = lengths.learned;
  }

  /** Saves every 30 s from now on, where there is anything new. */
  start(): void {
    this.#cancelNext = this.#parts.clock.after(SAVE_INTERVAL_MS, () => {
      void this.save().then(() => this.start());
    });
  }

  /** Saves for the last time. */
  async stop(): Promise<void> {
    this.#cancelNext();
    await this.save();
    this.#cancelNext();
  }

  /** Never rejects: a state that can't be saved is told of once, and tried again. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  async #save(): Promise<void> {
    const { store, lengths, log } = this.#parts;
    const { learned } = lengths;
    if (learned === this.#savedLearned) return;
    const text = stateText(lengths);
    try {
      await store.write(text);
      this.#savedLearned = learned;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) log.warn('Learned state not saved', { why: reasonOf(error) });
      this.#failing = true;
    }
  }

  /** @returns why it can't be used; null when it is, or when there is none */
  async #take(): Promise<string | null> {
    const { store, lengths, log } = this.#parts;
    const text = await store.read();
    if (text === null) return null;
    const state: unknown = JSON.parse(text);
    const { version, lengths: groups } = { version: null, lengths: null, ...(state as object) };
    if (version !== STATE_VERSION) return `it is of version ${JSON.stringify(version)}`;
    const restored = groupsFrom(groups);
    if (!restored.ok) return restored.why;
    for (const [name, group] of restored.groups) lengths.groups.put(name, group);
    log.info('Learned state restored', { groups: restored.groups.size });
    return null;
  }
}

/** As it is written. No prompt, key or session has ever been near it. */
export function stateText(lengths: LengthForecasts): string {
  return JSON.stringify({ version: STATE_VERSION, lengths: snapshotOf(lengths.groups) });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

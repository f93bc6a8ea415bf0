/** What decision logs tell, put together: the requests, the instances, and the settings of the gate. */
import { LevelChanges } from './level-changes.ts';
import type {
  LoggedDecision,
  LoggedEnd,
  LoggedInstance,
  LoggedLine,
  LoggedSettings,
} from './logged-line.ts';

/** Requests that are kept, about 1 KB each; of a longer log the first are replayed. */
export const MAX_REQUESTS = 200_000;
const MAX_INSTANCE_LINES = 20_000;

export interface LoggedRequest {
  readonly first: LoggedDecision;
  /** The same as `first` where it did not wait. */
  last: LoggedDecision;
  end: LoggedEnd | null;
}

export class LoggedTraffic {
  readonly #requests = new Map<string, LoggedRequest>();
  readonly #instances: LoggedInstance[] = [];
  readonly levels = new LevelChanges();
  #settings: LoggedSettings['values'] | null = null;
  /** How often the settings came to be others. */
  settingsChanges = 0;
  /** Decisions on requests beyond those that are kept. */
  leftOut = 0;

  add(line: LoggedLine): void {
    switch (line.is) {
      case 'decision':
        this.#decided(line);
        break;
      case 'settled':
        this.#ended(line);
        break;
      case 'instance':
        if (this.#instances.length < MAX_INSTANCE_LINES) this.#instances.push(line);
        break;
      case 'settings':
        this.#set(line.values);
        break;
      default:
        break;
    }
  }

  /** In the order of their arrival. */
  get requests(): readonly LoggedRequest[] {
    return [...this.#requests.values()].sort((a, b) => a.first.arrivedMs - b.first.arrivedMs);
  }

  /** In the order of the log. */
  get instances(): readonly LoggedInstance[] {
    return this.#instances;
  }

  /** The latest; null where the log has none. */
  get settings(): LoggedSettings['values'] | null {
    return this.#settings;
  }

  #decided(line: LoggedDecision): void {
    const known = this.#requests.get(line.request);
    if (known !== undefined) known.last = line;
    else if (this.#requests.size >= MAX_REQUESTS) this.leftOut += 1;
    else this.#requests.set(line.request, { first: line, last: line, end: null });
    if (known !== undefined || this.leftOut === 0) this.levels.decided(line.instance, line.level);
  }

  #ended(line: LoggedEnd): void {
    const known = this.#requests.get(line.request);
    if (known !== undefined) known.end = line;
  }

  #set(values: LoggedSettings['values']): void {
    const before = this.#settings;
    if (before !== null && JSON.stringify(before) !== JSON.stringify(values)) {
      this.settingsChanges += 1;
    }
    this.#settings = values;
  }
}

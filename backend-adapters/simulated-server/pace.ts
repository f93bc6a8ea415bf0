/** How fast the simulated GPU works, and when its time passes. */
export interface Rates {
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly batchSlowdown: number;
}

/** Tokens per second of each of `running` sequences that decode together. */
export function decodeRate(rates: Rates, running: number): number {
  return rates.decodeTokensPerSecond / (1 + rates.batchSlowdown * Math.max(0, running - 1));
}

/** Turns a rate over time into whole tokens, carrying the fraction over. */
export class TokenMeter {
  #carried = 0;

  due(tokensPerSecond: number, seconds: number): number {
    const tokens = this.#carried + tokensPerSecond * seconds;
    const whole = Math.floor(tokens);
    this.#carried = tokens - whole;
    return whole;
  }
}

const TICK_MS = 5;
/** Simulated time passes in slices this short, so that memory is seen at every moment that matters. */
const SLICE_SECONDS = 0.01;
const MAX_SLICES_PER_TICK = 500;

export interface Paced {
  advance(seconds: number): void;
  /** After the slices of a tick: the time to write what they produced. */
  ticked(): void;
  /** False lets the ticker sleep until it is woken. */
  busy(): boolean;
}

/** Drives the simulation by one coarse timer, however many tokens are due. */
export class Ticker {
  readonly #paced: Paced;
  readonly #speed: number;
  #timer: NodeJS.Timeout | null = null;
  #lastMs = 0;

  constructor(paced: Paced, speed: number) {
    this.#paced = paced;
    this.#speed = speed;
  }

  /** Starts the timer if it sleeps. */
  wake(): void {
    if (this.#timer !== null) return;
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const nowMs = performance.now();
    const seconds = ((nowMs - this.#lastMs) / 1000) * this.#speed;
    this.#lastMs = nowMs;
    const slices = Math.min(MAX_SLICES_PER_TICK, Math.max(1, Math.ceil(seconds / SLICE_SECONDS)));
    for (let slice = 0; slice < slices && this.#paced.busy(); slice++) {
      this.#paced.advance(seconds / slices);
    }
    this.#paced.ticked();
    if (!this.#paced.busy()) this.stop();
  }
}

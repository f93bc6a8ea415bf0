/**
 * The chance that all requests of an instance together come to need more than
 * it has ("Past-Future" admission: Gong et al., ASPLOS 2025, arXiv:2507.10150,
 * here with a bound of the tail in place of a quantile for each request: the
 * quantile that matters is that of the sum).
 *
 * In an interval of time each request holds at most u units with chance s, else
 * none. For independent requests and each rate r > 0 (Chernoff, 1952)
 *
 *   P(sum > room) <= exp(-r x room) x product of (1 - s + s x exp(r x u)),
 *
 * which holds for one request as for a thousand, however unlike they are: with
 * few, or with nothing known of them (s = 1), it is the worst case. No interval
 * to come may be more likely to overrun than is allowed.
 */
import { INTERVALS, type RequestFuture } from './request-future.ts';

/**
 * Rates to choose from, as exponents of a request that fills the capacity: the
 * best one is some z / (spread of the sum). Sums of powers of two, so that one
 * exponential gives all of them.
 */
const EXPONENTS = [4, 8, 16, 24, 32, 48, 64, 96] as const;
const RATES = EXPONENTS.length;

/** The futures of all requests of one instance, added up. */
export class Future {
  /** Units for which the rates are fine; a capacity within a factor of two of it will do. */
  readonly scaleUnits: number;
  /** By interval: if all requests run on. */
  readonly #most = new Float64Array(INTERVALS);
  readonly #mean = new Float64Array(INTERVALS);
  /** By interval and rate: the product above. */
  readonly #products = new Float64Array(INTERVALS * RATES).fill(1);
  readonly #grown = new Float64Array(RATES);

  constructor(scaleUnits: number) {
    this.scaleUnits = scaleUnits;
  }

  add(request: RequestFuture): void {
    this.#put(request, 1);
  }

  /** Takes back what was added; the rounding that is left is gone with the next `Future`. */
  remove(request: RequestFuture): void {
    this.#put(request, -1);
  }

  /** Of the mean course: the most that is expected to be held at a time. */
  get expectedPeakUnits(): number {
    return this.#mean.reduce((most, units) => Math.max(most, units), 0);
  }

  /** Whether these requests and one more overrun the room at no time with more than that chance. */
  fits(candidate: RequestFuture, roomUnits: number, overrunProbability: number): boolean {
    const leastLog = Math.log(overrunProbability);
    // Where it surely has ended it makes nothing more likely.
    for (const [index, units] of candidate.units.entries()) {
      if ((this.#most[index] ?? 0) + units <= roomUnits) continue;
      const runs = candidate.runs[index] ?? 0;
      if (!this.#isUnlikely(index, units, runs, roomUnits, leastLog)) return false;
    }
    return true;
  }

  /** The least room that these requests overrun at no time with more than that chance. */
  peakUnits(overrunProbability: number): number {
    const exponent = -Math.log(overrunProbability);
    let peak = 0;
    for (let index = 0; index < INTERVALS; index += 1) {
      const most = this.#most[index] ?? 0;
      if (most > peak) peak = Math.max(peak, Math.min(most, this.#quantile(index, exponent)));
    }
    return peak;
  }

  #isUnlikely(
    index: number,
    units: number,
    runs: number,
    roomUnits: number,
    leastLog: number,
  ): boolean {
    const grown = this.#grownBy(units);
    for (let rate = 0; rate < RATES; rate += 1) {
      const product = this.#products[index * RATES + rate] ?? Number.POSITIVE_INFINITY;
      const own = 1 - runs + runs * (grown[rate] ?? 0);
      // A product that no number can hold is not unlikely: NaN and Infinity compare as false.
      if (Math.log(product * own) - this.#perUnit(rate) * roomUnits <= leastLog) return true;
    }
    return false;
  }

  #quantile(index: number, exponent: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (let rate = 0; rate < RATES; rate += 1) {
      const product = this.#products[index * RATES + rate] ?? Number.POSITIVE_INFINITY;
      const units = (Math.log(product) + exponent) / this.#perUnit(rate);
      if (units < least) least = units;
    }
    return least;
  }

  #perUnit(rate: number): number {
    return (EXPONENTS[rate] ?? 0) / this.scaleUnits;
  }

  #put({ units, runs }: RequestFuture, sign: 1 | -1): void {
    for (let index = 0; index < units.length; index += 1) {
      const held = units[index] ?? 0;
      const share = runs[index] ?? 0;
      if (share === 0) continue;
      this.#most[index] = (this.#most[index] ?? 0) + sign * held;
      this.#mean[index] = (this.#mean[index] ?? 0) + sign * share * held;
      const grown = this.#grownBy(held);
      for (let rate = 0; rate < RATES; rate += 1) {
        const factor = 1 - share + share * (grown[rate] ?? 0);
        const place = index * RATES + rate;
        const product = this.#products[place] ?? 1;
        this.#products[place] = sign === 1 ? product * factor : product / factor;
      }
    }
  }

  /** exp(rate x units) at every rate. */
  #grownBy(units: number): Float64Array {
    const at4 = Math.exp((4 * units) / this.scaleUnits);
    const at8 = at4 * at4;
    const at16 = at8 * at8;
    const at32 = at16 * at16;
    const at64 = at32 * at32;
    const grown = this.#grown;
    grown[0] = at4;
    grown[1] = at8;
    grown[2] = at16;
    grown[3] = at16 * at8;
    grown[4] = at32;
    grown[5] = at32 * at16;
    grown[6] = at64;
    grown[7] = at64 * at32;
    return grown;
  }
}

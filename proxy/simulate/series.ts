/** The course of a simulation in a bounded number of points: once there are too many, two become one. */
import { higherLevel } from '../policy/pressure.ts';
import type { Level } from '../policy/types.ts';

const MOST_POINTS = 800;
const FIRST_POINT_MS = 500;

export interface SeriesPoint {
  readonly atMs: number;
  /** Of the capacity: the most, and the mean. */
  readonly peakShare: number;
  readonly meanShare: number;
  readonly waiting: number;
  readonly admitted: number;
  readonly refused: number;
  readonly goodTokens: number;
  readonly level: Level;
}

interface Bucket {
  samples: number;
  peak: number;
  sum: number;
  waiting: number;
  admitted: number;
  refused: number;
  goodTokens: number;
  level: Level;
}

export class Series {
  #bucketMs = FIRST_POINT_MS;
  #buckets: Bucket[] = [];

  sample(atMs: number, share: number, waiting: number, level: Level): void {
    const bucket = this.#at(atMs);
    bucket.samples += 1;
    bucket.peak = Math.max(bucket.peak, share);
    bucket.sum += share;
    bucket.waiting = Math.max(bucket.waiting, waiting);
    bucket.level = higherLevel(bucket.level, level);
  }

  count(atMs: number, what: 'admitted' | 'refused' | 'goodTokens', by = 1): void {
    this.#at(atMs)[what] += by;
  }

  get pointMs(): number {
    return this.#bucketMs;
  }

  points(): readonly SeriesPoint[] {
    return this.#buckets.map(({ samples, peak, sum, ...counts }, index) => ({
      atMs: index * this.#bucketMs,
      peakShare: peak,
      meanShare: samples === 0 ? 0 : sum / samples,
      ...counts,
    }));
  }

  #at(atMs: number): Bucket {
    while (atMs >= this.#bucketMs * MOST_POINTS) this.#halve();
    const index = Math.floor(atMs / this.#bucketMs);
    while (this.#buckets.length <= index) this.#buckets.push(empty());
    return this.#buckets[index] ?? empty();
  }

  #halve(): void {
    const halved: Bucket[] = [];
    for (let index = 0; index < this.#buckets.length; index += 2) {
      halved.push(merged(this.#buckets[index] ?? empty(), this.#buckets[index + 1] ?? empty()));
    }
    this.#buckets = halved;
    this.#bucketMs *= 2;
  }
}

function empty(): Bucket {
  const counts = { admitted: 0, refused: 0, goodTokens: 0 };
  return { samples: 0, peak: 0, sum: 0, waiting: 0, ...counts, level: 'low' };
}

function merged(a: Bucket, b: Bucket): Bucket {
  return {
    samples: a.samples + b.samples,
    peak: Math.max(a.peak, b.peak),
    sum: a.sum + b.sum,
    waiting: Math.max(a.waiting, b.waiting),
    admitted: a.admitted + b.admitted,
    refused: a.refused + b.refused,
    goodTokens: a.goodTokens + b.goodTokens,
    level: higherLevel(a.level, b.level),
  };
}

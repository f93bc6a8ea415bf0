/** Runs `kvgate simulate` in processes of its own, two at a time, and remembers what came out. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SimulationResult } from '../../../proxy/simulate/result.ts';

const AT_A_TIME = 2;
const MOST_ERROR_CHARS = 2_000;

export interface Run {
  readonly trace: string;
  readonly flags: readonly string[];
  /** The course of the run is wanted too; it is large. */
  readonly withSeries?: boolean;
}

export interface RunnerOptions {
  /** Where the build lies: `dist`. */
  readonly dist: string;
  /** Results are kept here by trace, flags and build. */
  readonly cacheFolder: string;
  readonly onResult: (done: number, total: number, seconds: number) => void;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #build: string;
  readonly #traces = new Map<string, string>();
  readonly #waiting: (() => void)[] = [];
  readonly #known = new Map<string, Promise<SimulationResult>>();
  #running = 0;
  #asked = 0;
  #done = 0;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#build = digestOfBuild(options.dist);
    mkdirSync(options.cacheFolder, { recursive: true });
  }

  /** @throws Error with what the process wrote, where it failed */
  run(run: Run): Promise<SimulationResult> {
    const key = this.#keyOf(run);
    const known = this.#known.get(key) ?? this.#fresh(run, key);
    this.#known.set(key, known);
    return known;
  }

  async #fresh(run: Run, key: string): Promise<SimulationResult> {
    const path = join(this.#options.cacheFolder, `${key}.json`);
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8'));
    this.#asked += 1;
    if (this.#running >= AT_A_TIME) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      const startedMs = performance.now();
      const result = await this.#spawned(run, key);
      writeFileSync(path, JSON.stringify(result));
      this.#done += 1;
      this.#options.onResult(this.#done, this.#asked, (performance.now() - startedMs) / 1000);
      return result;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #spawned({ trace, flags, withSeries }: Run, key: string): Promise<SimulationResult> {
    const out = join(this.#options.cacheFolder, `${key}-run`);
    const cli = join(this.#options.dist, 'proxy/cli.js');
    const words = [cli, 'simulate', '--json', '--trace', trace, '--out', out, ...flags];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors = (errors + chunk).slice(-MOST_ERROR_CHARS);
    });
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`simulate ${flags.join(' ')} ended with ${code}: ${errors}`);
    const result: SimulationResult = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'));
    rmSync(out, { recursive: true });
    return withSeries === true ? result : { ...result, series: { pointMs: 0, points: [] } };
  }

  #keyOf({ trace, flags, withSeries }: Run): string {
    let content = this.#traces.get(trace);
    if (content === undefined) {
      content = createHash('sha256').update(readFileSync(trace)).digest('hex');
      this.#traces.set(trace, content);
    }
    const parts = [this.#build, content, withSeries === true, ...flags];
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
  }
}

/** Over every script of the build: another build is another guard. */
function digestOfBuild(dist: string): string {
  const hash = createHash('sha256');
  const paths = readdirSync(dist, { recursive: true, encoding: 'utf8' });
  for (const path of paths.filter((name) => name.endsWith('.js')).sort()) {
    hash.update(path).update(readFileSync(join(dist, path)));
  }
  return hash.digest('hex');
}

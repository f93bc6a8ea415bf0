/**
 * A jest reporter: one line a suite at the end of a run, and the figures that
 * its tests measured. Plain JavaScript, as jest loads reporters untransformed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

export default class SummaryReporter {
  #folder = mkdtempSync(join(tmpdir(), 'kvgate-figures-'));
  #figuresPath = join(this.#folder, 'figures.txt');
  #suites = [];

  onRunStart() {
    writeFileSync(this.#figuresPath, '');
    // Tests read it from their environment, see figures.ts.
    process.env.KVGATE_TEST_FIGURES = this.#figuresPath;
  }

  onTestResult({ path }, result) {
    this.#suites.push({
      name: basename(path, '.test.ts'),
      passed: result.numPassingTests,
      // A suite that can't even be loaded has no tests that could fail.
      failed: result.numFailingTests + (result.testExecError ? 1 : 0),
      seconds: (result.perfStats.end - result.perfStats.start) / 1000,
    });
  }

  onRunComplete() {
    const figures = readFileSync(this.#figuresPath, 'utf8');
    rmSync(this.#folder, { recursive: true });
    const sum = (field) => this.#suites.reduce((total, suite) => total + suite[field], 0);
    const total = { name: 'total', passed: sum('passed'), failed: sum('failed') };
    const suites = this.#suites.sort((a, b) => a.name.localeCompare(b.name));
    const lines = [...suites, { ...total, seconds: sum('seconds') }].map(line);
    process.stderr.write(`\n${figures}\n${HEAD}\n${lines.join('\n')}\n`);
  }
}

const WIDTH = 24;
const HEAD = `${'suite'.padEnd(WIDTH)} passed failed seconds`;

function line({ name, passed, failed, seconds }) {
  const numbers = [String(passed).padStart(6), String(failed).padStart(6)];
  return `${name.padEnd(WIDTH)} ${numbers.join(' ')} ${seconds.toFixed(1).padStart(7)}`;
}

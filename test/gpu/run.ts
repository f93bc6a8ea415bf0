/**
 * Measures what generation takes on a GPU against what kvgate estimates, and
 * writes docs/gpu-results.md. Wants Node 22.18 or newer, which runs TypeScript
 * as it is, and a Python with torch and transformers:
 *
 *   node test/gpu/run.ts --commit "$(git rev-parse --short HEAD)" [--python python3] [--out FILE]
 *
 * `--simulated` measures the simulated server instead, to try the script.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Candidate, nvmlCandidate, smiCandidate } from '../../proxy/gpu/candidates.ts';
import { loadNvml } from '../../proxy/gpu/nvml-library.ts';
import { realClock } from '../../proxy/real-clock.ts';
import { knownModel } from '../support/known-model.ts';
import { type Comparison, compare } from './compare.ts';
import { pythonSubject } from './python-subject.ts';
import { gpuReport, type Readers } from './report.ts';
import { simulatedSubject } from './simulated-subject.ts';
import type { Subject } from './subject.ts';

const OUTPUT_TOKENS = 8;
const SIZES: Readonly<Record<Subject['attention'], readonly number[]>> = {
  eager: [1024, 2048, 3072, 4096, 6144, 8192],
  flash: [1024, 2048, 4096, 8192, 16_384, 32_768],
};

const { values: flags } = parseArgs({
  options: {
    simulated: { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    commit: { type: 'string', default: 'unknown' },
    out: { type: 'string', default: 'docs/gpu-results.md' },
  },
});

const spec = knownModel('gpt-oss-20b');

const comparisons: Comparison[] = [];
const readers: Readers[] = [];
for (const attention of ['eager', 'flash'] as const) {
  const subject = flags.simulated
    ? simulatedSubject(attention)
    : await pythonSubject({ python: flags.python, spec, attention, device: 'cuda' });
  try {
    comparisons.push(await compare(subject, spec, SIZES[attention], OUTPUT_TOKENS));
    // Read while the server holds its memory: an idle GPU shows little.
    readers.push(...(flags.simulated ? [] : await readGpus(attention)));
  } finally {
    await subject.stop();
  }
}
const report = gpuReport({
  date: new Date().toISOString().slice(0, 10),
  commit: flags.commit,
  driver: flags.simulated ? 'none (simulated)' : driverVersion(),
  comparisons,
  readers,
});
writeFileSync(flags.out, report);
console.log(report);

async function readGpus(attention: string): Promise<readonly Readers[]> {
  const deps = {
    pollIntervalMs: 500,
    clock: realClock,
    gpuIds: [],
    searchPath: process.env.PATH ?? '',
    loadNvml,
    readMeminfo: () => readFile('/proc/meminfo', 'utf8'),
    dcgm: { url: '', read: () => Promise.reject(new Error('not asked')), isGiven: false },
  };
  return [
    readerOf(`NVML (${attention} server up)`, await nvmlCandidate(deps)),
    readerOf(`nvidia-smi (${attention} server up)`, await smiCandidate(deps)),
  ];
}

function readerOf(source: string, candidate: Candidate): Readers {
  return candidate.state === 'answers'
    ? { source, gpus: candidate.gpus, error: null }
    : { source, gpus: [], error: `${candidate.state}: ${candidate.why}` };
}

function driverVersion(): string {
  const args = ['--query-gpu=driver_version', '--format=csv,noheader'];
  return execFileSync('nvidia-smi', args, { encoding: 'utf8' }).trim();
}

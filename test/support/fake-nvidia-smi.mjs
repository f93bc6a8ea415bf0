#!/usr/bin/env node
// Stands in for nvidia-smi. It lies in a test's folder as a link, and does there
// what the file `script.json` says for its n-th start (see fake-nvidia-smi.ts).
// Each start is recorded in the file `starts`, with those still running beside it.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const folder = dirname(process.argv[1]);
const startsFile = join(folder, 'starts');
const { runs } = JSON.parse(readFileSync(join(folder, 'script.json'), 'utf8'));
const starts = existsSync(startsFile)
  ? readFileSync(startsFile, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];
const run = runs[Math.min(starts.length, runs.length - 1)];

if (run.ignoreSigterm) process.on('SIGTERM', () => {});
const args = process.argv.slice(2);
const beside = starts.map(({ pid }) => pid).filter(isRunning);
appendFileSync(startsFile, `${JSON.stringify({ pid: process.pid, args, beside })}\n`);

const intervalMs = Number(args[args.indexOf('-lms') + 1]);
if (run.stderr) process.stderr.write(run.stderr);
step(0);

/** Prints the chunk at `position`, and goes on an interval later. */
function step(position) {
  const chunk = run.stdout[position];
  if (chunk !== undefined) process.stdout.write(chunk);
  if (position + 1 < run.stdout.length) setTimeout(step, intervalMs, position + 1);
  else if (run.atEnd === 'repeat') setTimeout(step, intervalMs, 0);
  else if (run.atEnd === 'hang') setInterval(() => {}, 60_000);
  else process.exitCode = run.atEnd.exit;
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

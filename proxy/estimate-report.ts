/** What `kvgate estimate` prints for people. */
import type { Estimated } from './estimate.ts';

const MIB = 1024 ** 2;

export function estimateReport(result: Estimated): string {
  const { model, modelSource, engine, maxTokens, sequences, perGpu } = result;
  const several =
    sequences === 1 ? '' : `, ${sequences} sequences: none takes more than what follows`;
  const where = perGpu.gpus === 1 ? '' : ` on each of ${perGpu.gpus} GPUs`;
  const phase = (name: 'decode' | 'prefill') => result.parts.filter((part) => part.phase === name);
  const prefill = phase('prefill');
  return [
    `${model} on ${engine}${several}`,
    `  geometry      ${modelSource}`,
    `  prompt        ${promptWords(result)}`,
    `  output        ${count(maxTokens)} tokens at most`,
    '',
    `Held while decoding${where}, with all of them there`,
    ...phase('decode').flatMap(partLines),
    sumLine('together', perGpu.kvBytes),
    '',
    ...(prefill.length === 0
      ? []
      : [`At the peak of prefill${where}`, ...prefill.flatMap(partLines)]),
    ...(prefill.length === 0 ? [] : [sumLine('together', perGpu.prefillPeakBytes), '']),
    ...(perGpu.gpus === 1 ? [] : [sumLine('KV on all GPUs', result.kvBytes)]),
    ...sharedLines(result),
    sumLine('naive', result.naiveBytes),
    '    tokens x layers x bytes of a token in a layer: as if each layer kept every token',
    '',
    ...fitLines(result),
  ].join('\n');
}

function promptWords({ promptTokens: { lo, hi, source }, prompts }: Estimated): string {
  const which = prompts === 1 ? '' : `, the longest of ${prompts}`;
  if (lo === hi) {
    const how = source === 'tokenizer' ? ', counted with o200k_harmony' : '';
    return `${count(hi)} tokens${how}${which}`;
  }
  return `${count(lo)} to ${count(hi)} tokens${which} (${boundsWords(source)}); the most is taken`;
}

function boundsWords(source: Estimated['promptTokens']['source']): string {
  switch (source) {
    case 'tokenizer':
      return 'counted, as engines may print it';
    case 'token-ids':
      return 'told in all';
    default:
      return 'from its bytes';
  }
}

function partLines({ part, bytes, formula, source }: Estimated['parts'][number]): string[] {
  return [sumLine(part, bytes), `    ${formula}`, `    ${source}`];
}

function fitLines({ fits, perGpu }: Estimated): string[] {
  const { sequences, gpuBytes, budgetBytes, weightBytes } = fits;
  const gpu = `${count(Math.round(gpuBytes / MIB))} MiB`;
  const each = perGpu.gpus === 1 ? `a GPU of ${gpu}` : `${perGpu.gpus} GPUs of ${gpu}`;
  if (sequences === null || budgetBytes === null || weightBytes === null) {
    return [`How many fit on ${each} depends on the weights: pass --weights-gb.`];
  }
  return [
    `${count(sequences)} such at a time fit on ${each}`,
    sumLine('for KV, on each GPU', budgetBytes),
    `    what --gpu-memory-threshold and --mem-safety-reserve-mb leave, less ${count(Math.round(weightBytes / MIB))} MiB of weights`,
  ];
}

function sharedLines({ shared }: Estimated): string[] {
  if (shared === null) return [];
  const how = `    ${count(shared.tokens)} tokens of the prompt in whole blocks: held once for all that begin alike`;
  return [sumLine('of that shared', shared.bytes), how];
}

const LABEL_WIDTH = 52;

function sumLine(label: string, bytes: number): string {
  const mib = (bytes / MIB).toFixed(2).padStart(12);
  return `  ${label.padEnd(LABEL_WIDTH)} ${mib} MiB  ${count(bytes)} B`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

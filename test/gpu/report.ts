/** The results as a page of Markdown. */
import type { GpuReading } from '../../proxy/state/gpu-source.ts';
import type { ComparedRow, Comparison } from './compare.ts';

const MIB = 2 ** 20;

export interface Readers {
  readonly source: string;
  readonly gpus: readonly GpuReading[];
  readonly error: string | null;
}

export interface Results {
  readonly date: string;
  readonly commit: string;
  readonly driver: string;
  readonly comparisons: readonly Comparison[];
  readonly readers: readonly Readers[];
}

export function gpuReport({ date, commit, driver, comparisons, readers }: Results): string {
  return [
    '# Results on a GPU',
    '',
    `Written by \`test/gpu/run.ts\` on ${date}, commit ${commit}, driver ${driver}. gpt-oss-20b in its real`,
    "geometry with random weights in bf16, one generation at a time; bytes are PyTorch's own",
    '(`max_memory_allocated`) above the idle server. "Calibrated" is corrected by the median of the other sizes.',
    'The bars: within 5 % before calibration, within 2 % after it.',
    '',
    ...comparisons.flatMap(comparisonLines),
    '## Readers',
    '',
    ...readers.flatMap(readerLines),
    '',
  ].join('\n');
}

function comparisonLines({ attention, about, prefill, held, decode, failed }: Comparison) {
  const facts = Object.entries(about).map(([name, value]) => `${name} ${value}`);
  return [
    `## ${attention} attention`,
    '',
    `${facts.join(', ')}.`,
    '',
    ...rowLines('Peak of prefill', prefill),
    ...rowLines('Held while decoding', held),
    ...rowLines('Peak of a decode step', decode),
    ...failed.map(({ promptTokens, error }) => `- ${promptTokens} tokens: ${error}`),
    ...(failed.length === 0 ? [] : ['']),
  ];
}

function rowLines(title: string, rows: readonly ComparedRow[]): string[] {
  if (rows.length === 0) return [`${title}: not told here.`, ''];
  return [
    `${title}:`,
    '',
    '| prompt tokens | measured MiB | estimated MiB | error | calibrated |',
    '| ---: | ---: | ---: | ---: | ---: |',
    ...rows.map(
      ({ promptTokens, measuredBytes, estimatedBytes, error, calibratedError }) =>
        `| ${promptTokens} | ${mib(measuredBytes)} | ${mib(estimatedBytes)} | ${percent(error)} | ${percent(calibratedError)} |`,
    ),
    '',
  ];
}

function readerLines({ source, gpus, error }: Readers): string[] {
  if (error !== null) return [`- ${source}: ${error}`];
  return gpus.map(({ index, name, uuid, totalBytes, usedBytes, processes, unknownWhy }) => {
    const memory =
      totalBytes === null || usedBytes === null
        ? `memory unknown (${unknownWhy ?? 'not told'})`
        : `${mib(usedBytes)} of ${mib(totalBytes)} MiB in use`;
    const listed = processes === null ? 'processes not told' : `${processes.length} processes`;
    return `- ${source}: GPU ${index}, ${name}, ${uuid}: ${memory}, ${listed}`;
  });
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

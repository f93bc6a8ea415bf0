/**
 * The course of a simulation as an SVG that reads in light and dark: memory
 * over time with the levels behind it, and below it who was admitted, waited
 * and was refused. The points are those of the series, and so bounded.
 */
import { LEVELS, type LevelThresholds } from '../policy/pressure.ts';
import type { SeriesPoint } from './series.ts';

export interface Plot {
  readonly title: string;
  readonly pointMs: number;
  readonly points: readonly SeriesPoint[];
  readonly thresholds: LevelThresholds;
}

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 24;
const MEMORY = { top: 64, height: 240 } as const;
const FLOW = { top: 372, height: 150 } as const;
const HEIGHT = 590;
const INNER = WIDTH - LEFT - RIGHT;

const STYLE = `
  svg { --ink: #1f2328; --faint: #59636e; --grid: #d1d9e0; --paper: #ffffff; --memory: #0969da;
    --admitted: #1a7f37; --refused: #cf222e; --waiting: #9a6700; --medium: #fff8c5; --high: #ffe2b8;
    --critical: #ffcecb; --emergency: #ff9d96; font: 12px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --faint: #9198a1; --grid: #3d444d; --paper: #0d1117; --memory: #4493f8;
      --admitted: #3fb950; --refused: #f85149; --waiting: #d29922; --medium: #3b300f; --high: #4d2d0b;
      --critical: #5d1a1a; --emergency: #852221; } }
  text { fill: var(--ink); } .faint { fill: var(--faint); } .grid { stroke: var(--grid); }
  path { fill: none; stroke-width: 1.5; }`;

export function memoryPlot({ title, pointMs, points, thresholds }: Plot): string {
  const endSeconds = (Math.max(1, points.length) * pointMs) / 1000;
  const x = (index: number) => LEFT + (index / Math.max(1, points.length)) * INNER;
  const perSecond = (count: number) => (count * 1000) / pointMs;
  const mostShare = Math.max(1, ...points.map(({ peakShare }) => peakShare));
  const mostRate = niceAbove(
    Math.max(1, ...points.map((point) => perSecond(Math.max(point.admitted, point.refused)))),
  );
  const mostWaiting = niceAbove(Math.max(1, ...points.map(({ waiting }) => waiting)));
  const memoryY = (share: number) => MEMORY.top + MEMORY.height * (1 - share / mostShare);
  const flowY = (share: number) => FLOW.top + FLOW.height * (1 - share);
  const line = (name: string, yOf: (point: SeriesPoint) => number, more = '') =>
    `<path d="${pathOf(points.map((point, index) => [x(index), yOf(point)]))}" stroke="var(--${name})"${more}/>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="var(--paper)"/>`,
    `<text x="${LEFT}" y="24" font-size="15">${escaped(title)}</text>`,
    ...levelBands(points, x),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((share) => grid(memoryY(share), `${share * 100} %`)),
    ...thresholdLines(thresholds, mostShare, memoryY),
    line('memory', ({ meanShare }) => memoryY(meanShare)),
    line('memory', ({ peakShare }) => memoryY(peakShare), ' stroke-dasharray="2 3" opacity="0.7"'),
    label(MEMORY, 'KV memory in use (% of capacity)'),
    legend(46, [['memory', 'mean'], ['memory', 'peak (dashed)'], ...levelKeys()]),
    ...[0, 0.5, 1].flatMap((share) => grid(flowY(share), rateText(share * mostRate))),
    line('admitted', (point) => flowY(perSecond(point.admitted) / mostRate)),
    line('refused', (point) => flowY(perSecond(point.refused) / mostRate)),
    line('waiting', (point) => flowY(point.waiting / mostWaiting)),
    label(FLOW, 'requests / s'),
    legend(FLOW.top - 14, [
      ['admitted', 'admitted / s'],
      ['refused', 'rejected / s'],
      ['waiting', `queued (top: ${mostWaiting} requests)`],
    ]),
    ...timeAxis(endSeconds),
    '</svg>\n',
  ].join('\n');
}

function levelKeys(): [string, string][] {
  return LEVELS.slice(1).map((level) => [level, level]);
}

/** Neighbours of one level are one band. */
function levelBands(points: readonly SeriesPoint[], x: (index: number) => number): string[] {
  const bands: string[] = [];
  for (let from = 0, to = 1; from < points.length; from = to, to += 1) {
    const level = points[from]?.level ?? 'low';
    while (to < points.length && points[to]?.level === level) to += 1;
    if (level === 'low') continue;
    const span = `x="${x(from).toFixed(1)}" width="${(x(to) - x(from)).toFixed(1)}"`;
    bands.push(
      `<rect ${span} y="${MEMORY.top}" height="${MEMORY.height}" fill="var(--${level})"/>`,
    );
  }
  return bands;
}

function thresholdLines(
  thresholds: LevelThresholds,
  mostShare: number,
  y: (share: number) => number,
): string[] {
  return Object.entries(thresholds)
    .filter(([, share]) => share <= mostShare)
    .flatMap(([level, share]) => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share).toFixed(1)}" y2="${y(share).toFixed(1)}" stroke="var(--faint)" stroke-dasharray="1 4"/>`,
      `<text class="faint" x="${WIDTH - RIGHT - 2}" y="${(y(share) - 2).toFixed(1)}" text-anchor="end" font-size="10">${escaped(level)} from ${Math.round(share * 100)} %</text>`,
    ]);
}

function grid(y: number, text: string): string[] {
  return [
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>`,
    `<text class="faint" x="${LEFT - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${text}</text>`,
  ];
}

function label({ top, height }: { readonly top: number; readonly height: number }, text: string) {
  const middle = top + height / 2;
  return `<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escaped(text)}</text>`;
}

function legend(y: number, keys: readonly (readonly [string, string])[]): string {
  let x = LEFT;
  const parts = keys.map(([name, text]) => {
    const at = x;
    x += 30 + 7 * text.length;
    const box = `<rect x="${at}" y="${y - 9}" width="10" height="10" fill="var(--${name})"/>`;
    return `${box}<text x="${at + 14}" y="${y}">${escaped(text)}</text>`;
  });
  return parts.join('');
}

function timeAxis(endSeconds: number): string[] {
  const [unit, seconds] = endSeconds > 7_200 ? ['h', 3_600] : ['min', 60];
  const y = FLOW.top + FLOW.height + 18;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const text = ((share * endSeconds) / seconds).toFixed(1);
    return `<text class="faint" x="${LEFT + share * INNER}" y="${y}" text-anchor="middle">${text}</text>`;
  });
  const name = `<text x="${LEFT + INNER / 2}" y="${y + 22}" text-anchor="middle">virtual time (${unit})</text>`;
  return [...ticks, name];
}

function pathOf(points: readonly (readonly [number, number])[]): string {
  return points
    .map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`)
    .join('');
}

function rateText(rate: number): string {
  return rate >= 10 || rate === 0 ? rate.toFixed(0) : rate.toFixed(1);
}

/** The next of 1, 2 and 5 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((digit) => digit * power >= value) ?? 10) * power;
}

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll('&', '&amp;').replace(/[<>"]/g, (found) => names[found] ?? '');
}

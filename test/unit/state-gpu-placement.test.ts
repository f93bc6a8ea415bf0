/** Which GPUs an instance uses, where nothing but the order is known. */
import { expect, test } from '@jest/globals';
import { placeOnGpus } from '../../proxy/state/gpu-placement.ts';

const usual = (name: string) => ({ name, large: false });
const large = (name: string) => ({ name, large: true });

test.each<{
  what: string;
  gpus: number;
  places: Readonly<Record<string, readonly number[]>>;
}>([
  {
    what: 'the usual ones first, then the large one on the next four',
    gpus: 6,
    places: { a: [0], b: [1], big: [2, 3, 4, 5] },
  },
  { what: 'no GPU at all', gpus: 0, places: { a: [], b: [], big: [] } },
  { what: 'one GPU for all', gpus: 1, places: { a: [0], b: [0], big: [0] } },
  {
    what: 'too few: places wrap around, and no GPU is counted twice',
    gpus: 3,
    places: { a: [0], b: [1], big: [2, 0, 1] },
  },
  { what: 'more than are used', gpus: 8, places: { a: [0], b: [1], big: [2, 3, 4, 5] } },
])('$what', ({ gpus, places }) => {
  const gpuOf = placeOnGpus([usual('a'), large('big'), usual('b')], 4);
  for (const [name, positions] of Object.entries(places)) {
    expect(gpuOf(name, gpus)).toEqual(positions);
  }
});

test('large instances stand side by side', () => {
  const gpuOf = placeOnGpus([large('x'), large('y')], 2);
  expect(gpuOf('x', 4)).toEqual([0, 1]);
  expect(gpuOf('y', 4)).toEqual([2, 3]);
});

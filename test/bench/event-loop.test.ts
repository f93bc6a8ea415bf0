/**
 * No body holds up the event loop: 10 ms is what it is built for. Of up to ten rounds the best is
 * taken, since another process on the machine can only make a block look longer; and it may take
 * twice as long, since on a machine of two cores the gate shares them with its own client in every
 * round. Before bodies were read in slices the best rounds were 28 to 213 ms.
 */
import { test } from '@jest/globals';
import { expectAccuracy } from '../support/accuracy.ts';
import { measureBlocks } from './event-loop.ts';

const MIB = 1024 * 1024;

test('no body holds up the event loop', async () => {
  const kinds = (...names: readonly string[]) => ({
    rounds: 10,
    enoughMs: 10,
    only: ({ name }: { readonly name: string }) => names.includes(name),
  });
  const figures = [
    ...(await measureBlocks(kinds('one string', 'max tokens to be filled in', 'explained'))),
    ...(await measureBlocks({ bytes: 8 * MIB, together: 4, ...kinds('tiny members') })),
  ];
  const seen = figures.map(
    ({ name, wallMs, idleWallMs }) =>
      `${name} ${wallMs.toFixed(1)} ms (idle ${idleWallMs.toFixed(1)})`,
  );
  expectAccuracy({
    part: 'longest block of the event loop by a body',
    bar: '10 ms; asserted: 20',
    seen: seen.join(', '),
    against: 'bodies of 64 MB, and four of 8 MB at once; the best of up to 10 rounds',
    holds: figures.length === 4 && figures.every(({ wallMs }) => wallMs <= 20),
  });
}, 120_000);

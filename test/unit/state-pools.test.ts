/** Lists of pools and instances are as of the moment they were asked for, and new after each change. */
import { expect, test } from '@jest/globals';
import { Pools } from '../../proxy/state/pools.ts';
import { fakeEngine } from '../support/fake-engine-io.ts';

function pools(): Pools {
  const at = (name: string, pool: string) => ({
    name,
    url: `http://${name}.test`,
    pool,
    large: pool === 'large',
    io: fakeEngine({}),
  });
  return new Pools([at('big', 'large'), at('a', 'default'), at('b', 'default')]);
}

const healthOf = (given: Pools) => given.instances.map(({ health }) => health.state);

test('the large pool comes last, instances in their order', () => {
  const named = pools().pools.map(({ name, large, instances }) => [
    name,
    large,
    instances.map((instance) => instance.name),
  ]);
  expect(named).toEqual([
    ['default', false, ['a', 'b']],
    ['large', true, ['big']],
  ]);
});

test('a change is in the next list, and not in one from before', () => {
  const changing = pools();
  const before = changing.instances;
  const seen: string[][] = [];
  changing.onChange(() => seen.push(healthOf(changing)));
  changing.update('a', { health: { state: 'healthy' } });
  expect(seen).toEqual([['starting', 'healthy', 'starting']]);
  expect(changing.pools[0]?.instances[0]?.health.state).toBe('healthy');
  expect(before.map(({ health }) => health.state)).toEqual(['starting', 'starting', 'starting']);
});

test('ranks come and go', () => {
  const ranked = pools();
  const names = () => ranked.pools[0]?.instances.map(({ name }) => name);
  expect(names()).toEqual(['a', 'b']);
  ranked.setRanks('a', 2);
  expect(names()).toEqual(['a', 'b', 'a#1']);
  ranked.setRanks('a', 1);
  expect(names()).toEqual(['a', 'b']);
});

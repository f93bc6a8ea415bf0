/** Nobody listens, or somebody does: told from the latest connection. */
import { expect, test } from '@jest/globals';
import { RefusalWatch } from '../../proxy/state/refusal-watch.ts';
import { fakeEngine, json, refusedConnection } from '../support/fake-engine-io.ts';

const SIGNAL = new AbortController().signal;

function deep(error: Error, depth: number): Error {
  return depth === 0 ? error : new Error('wrapped', { cause: deep(error, depth - 1) });
}

test.each<[string, Error, boolean]>([
  ['refused', refusedConnection(), true],
  ['refused, told by a fault of ours', deep(refusedConnection(), 2), true],
  ['reset', Object.assign(new Error('reset'), { code: 'ECONNRESET' }), false],
  ['aborted', new Error('no answer in time'), false],
])('%s: %p is a refusal: %p', async (_what, error, refused) => {
  const watch = new RefusalWatch(fakeEngine({ 'GET /x': error, 'POST /x': error }));
  await expect(watch.get('/x', SIGNAL)).rejects.toBe(error);
  expect(watch.refused).toBe(refused);
  await expect(watch.post('/x', '', SIGNAL)).rejects.toBe(error);
  expect(watch.refused).toBe(refused);
});

test('an endless chain of causes is given up', async () => {
  const endless = new Error('itself');
  endless.cause = endless;
  const watch = new RefusalWatch(fakeEngine({ 'GET /x': endless }));
  await expect(watch.get('/x', SIGNAL)).rejects.toBe(endless);
  expect(watch.refused).toBe(false);
});

test('the latest connection counts', async () => {
  const answer = json({ ok: true });
  const watch = new RefusalWatch(fakeEngine({ 'GET /x': refusedConnection(), 'GET /y': answer }));
  expect(watch.refused).toBe(false);
  await expect(watch.get('/x', SIGNAL)).rejects.toThrow();
  expect(watch.refused).toBe(true);
  expect(await watch.get('/y', SIGNAL)).toBe(answer);
  expect(watch.refused).toBe(false);
});

test('the command line is lent as it is', async () => {
  const watch = new RefusalWatch(fakeEngine({}, ['server', '-c', '4096']));
  expect(await watch.commandLine()).toEqual(['server', '-c', '4096']);
});

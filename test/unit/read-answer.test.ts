/** Answers are read for their usage, whatever their length. */
import { expect, test } from '@jest/globals';
import { LoopShare } from '../../proxy/http/loop-share.ts';
import { readAnswer } from '../../proxy/http/read-answer.ts';

const read = (text: string) => readAnswer(Buffer.from(text), new LoopShare());
const usage = { prompt_tokens: 7, total_tokens: 7 };

test('a short answer is read as it is', async () => {
  const answer = { data: [{ embedding: [0.5, -1] }], usage };
  const { value, object } = await read(JSON.stringify(answer));
  expect(value).toEqual(answer);
  expect(object?.members.get('usage')?.kind).toBe('object');
});

test('of a long answer what is short is read', async () => {
  const data = [{ embedding: Array(400_000).fill(0.5) }];
  const { value, object } = await read(JSON.stringify({ object: 'list', data, usage }));
  expect(value).toEqual({ object: 'list', usage });
  expect(object?.members.get('data')?.numbers).toBe(400_000);
});

test.each([
  ['a list', '[1,2]', [1, 2]],
  ['a long list', `[${'1,'.repeat(400_000)}1]`, null],
  ['no JSON', 'Not found', null],
  ['a broken object', '{"usage":', null],
])('%s holds no members', async (_what, text, value) => {
  expect(await read(text)).toEqual({ value, object: null });
});

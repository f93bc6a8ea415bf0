/** Logs that `kvgate train` can't learn from. */
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { train } from '../../proxy/train.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

test('a pipe is refused, for it can be read only once', async () => {
  const folder = dirname(files.write('taken', ''));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await expect(train([pipe], join(folder, 'state'))).rejects.toMatchObject({
    code: 'cannot_train',
    option: 'log',
    message: expect.stringContaining('no regular file'),
  });
});

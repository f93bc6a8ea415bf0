/** How a real vLLM tells its clients that its engine has died; kvgate's adapter goes by it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { startVllmServer, VLLM_WINDOW } from '../support/vllm-server.ts';

function suite(): void {
  let server: RunningPythonServer;
  beforeAll(async () => {
    server = await startVllmServer();
  }, 150_000);
  afterAll(() => server.stop());

  test('a dead engine ends a stream with an error event and [DONE], and then the server', async () => {
    const client = await connectRaw(server.url);
    const request = { prompt: 'x', max_tokens: VLLM_WINDOW - 8, stream: true };
    await client.send(rawPost('/v1/completions', JSON.stringify(request), ['Connection: close']));
    await client.until('data: ');
    const engines = server.children().filter(({ title }) => title.includes('EngineCore'));
    expect(engines).toHaveLength(1);
    for (const { pid } of engines) process.kill(pid, 'SIGKILL');
    const events = (await client.rest).split('\n\n').filter((event) => event.includes('data: '));
    expect(events.at(-1)).toContain('data: [DONE]');
    expect(events.at(-2)).toContain(
      'data: {"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}',
    );
    // Health is a 503 for some seconds, then nobody listens.
    await eventually(async () => {
      const health = fetch(`${server.url}/health`);
      await expect(health).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    }, 20_000);
  });
}

describeReal('vLLM on a CPU: the death of its engine', suite, findPython('vllm'));

/**
 * llama-server closes the connection of a stream a moment after its end without
 * having said so; a request that was sent on it meanwhile is lost.
 */
import { afterEach, expect, test } from '@jest/globals';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerStream, STREAM, type StubExchange } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

test('the connection of a stream is not used again, that of another answer is', async () => {
  // Polls would take a connection that is free.
  stub = await startGuardedStub({ 'poll-interval-ms': 60_000, 'stale-after-ms': 120_000 });
  const exchanges: StubExchange[] = [];
  const served = async (body: string) => {
    const answer = await stub.post(body);
    expect(answer.status).toBe(200);
    await answer.text();
  };
  stub.backend.answerWith((exchange) => {
    exchanges.push(exchange);
    answerStream(STREAM)(exchange);
  });
  await served(chat({ stream: true }));
  await served(chat({ stream: true }));
  const [first, second] = exchanges;
  expect(first?.socket).not.toBe(second?.socket);
  expect(first?.received.headers.connection).toBe('close');

  await served(chat());
  expect(exchanges[2]?.received.headers.connection).toBe('keep-alive');
});

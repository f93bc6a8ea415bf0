/** A request that ran to its end: a chat of 1,000 tokens with tools, thought about hard, answered with 100. */
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { AdmitDecision, RequestShape } from '../../proxy/policy/types.ts';
import type { SettledRequest } from '../../proxy/state/settled.ts';
import { requestShape, UNIFIED } from './decision.ts';
import { CHAT } from './scanned-request.ts';

export interface SettledChange {
  readonly outputTokens?: number;
  readonly endedBy?: SettledRequest['endedBy'];
  readonly kind?: RequestShape['kind'];
  readonly sequences?: number;
  readonly told?: SettledRequest['told'];
}

export function settledRequest({
  outputTokens = 100,
  endedBy = 'itself',
  kind = 'chat',
  sequences = 1,
  told = { promptTokens: 1_010, cachedTokens: 0 },
}: SettledChange = {}): SettledRequest {
  const shape = requestShape({
    kind,
    model: 'm',
    samplesPerPrompt: sequences,
    reasoningEffort: 'high',
    hasTools: true,
  });
  const decision: AdmitDecision = {
    action: 'accept',
    reason: 'fits',
    pool: 'default',
    instance: 'a',
    grant: { outputTokens: null, sampling: {} },
    charge: chargeOf(UNIFIED, 1_000, 1_000, 1, sequences),
    level: 'low',
    promptTokens: 1_000,
    estimate: {
      promptTokens: shape.promptTokens,
      outputTokens: { q50Tokens: 80, q95Tokens: 200, q99Tokens: 300 },
    },
  };
  return {
    requestId: 'request-1',
    instance: 'a',
    path: CHAT,
    shape,
    decision,
    layout: UNIFIED,
    told,
    promptTokens: 1_010,
    outputTokens,
    ttftMs: 12.4,
    totalMs: 1_234.5,
    endedBy,
  };
}

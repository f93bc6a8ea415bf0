/** `--mode observe`: where a request goes that nothing may be done to. */
import { chargeOf, contextTokensOf } from '../memory/charge.ts';
import type { AdmitDecision, Decision } from '../policy/types.ts';
import type { AdmissionRequest } from './judge.ts';
import { isServing, type Pools, routeIn } from './pools.ts';

/**
 * The request as it came, on the instance that was decided on, else on a usual
 * one; null when no instance is healthy.
 */
export function untouched(
  pools: Pools,
  { path, shape }: Pick<AdmissionRequest, 'path' | 'shape'>,
  decided: Decision,
): AdmitDecision | null {
  const healthy = pools.instances
    .filter(isServing)
    .filter(({ health, adapter }) => health.state === 'healthy' && routeIn(adapter, path));
  const chosen = 'instance' in decided ? decided.instance : null;
  const target =
    healthy.find(({ name }) => name === chosen) ??
    healthy.find(({ large }) => !large) ??
    healthy[0];
  if (target === undefined) return null;

  const { layout } = target.facts;
  const { requestedOutputTokens, prompts, samplesPerPrompt } = shape;
  const { level, promptTokens, estimate } = decided;
  const outputTokens = requestedOutputTokens ?? contextTokensOf(layout);
  return {
    action: 'accept',
    reason: 'fits',
    pool: target.pool,
    instance: target.name,
    grant: { outputTokens: null, sampling: {} },
    charge: chargeOf(layout, promptTokens, outputTokens, prompts, samplesPerPrompt),
    level,
    promptTokens,
    estimate,
  };
}

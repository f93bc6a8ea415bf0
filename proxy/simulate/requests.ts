/** A request of a simulation in the words of admission. */
import type { RequestShape } from '../policy/types.ts';
import type { AdmissionRequest } from '../state/judge.ts';
import type { SimulatedRequest } from './workload.ts';

export const PATH = '/v1/chat/completions';

/** A streamed chat whose prompt is counted already. */
export function shapeOf({ promptTokens }: SimulatedRequest, askedTokens: number): RequestShape {
  const tokens = promptTokens;
  return {
    kind: 'chat',
    model: null,
    promptTokens: { lo: tokens, expected: tokens, hi: tokens, source: 'token-ids' },
    prompts: 1,
    samplesPerPrompt: 1,
    requestedOutputTokens: askedTokens,
    stream: true,
    temperature: null,
    topP: null,
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: false,
  };
}

export function admissionRequest(request: SimulatedRequest, askedTokens: number): AdmissionRequest {
  return {
    id: request.id,
    path: PATH,
    shape: shapeOf(request, askedTokens),
    session: null,
    neverDegrade: false,
    tenant: request.tenant,
    priority: 'normal',
    countTokens: null,
  };
}

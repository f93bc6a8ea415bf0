/** `kvgate estimate`: what one request takes, part by part, and how many such fit on a GPU. */
import type { Problem } from './config/problem.ts';
import { type EstimateValues, estimateLayout, refusedValue } from './estimate-layout.ts';
import { askedModel } from './estimate-model.ts';
import { type AskedRequest, bodyRequest } from './estimate-request.ts';
import {
  estimateRequest,
  type RequestEstimate,
  requestsThatFit,
  type SharedPrefix,
  sharedPrefix,
} from './memory/estimate/request-estimate.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import type { TokenBounds } from './memory/token-bounds.ts';

export { estimateReport } from './estimate-report.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

export interface Estimated extends RequestEstimate {
  readonly model: string;
  readonly modelSource: string;
  readonly engine: EstimateValues['engine'];
  readonly promptTokens: TokenBounds;
  readonly maxTokens: number;
  /** Of the body: the longest is told of. */
  readonly prompts: number;
  /** The body asks for so many; none takes more than is told. */
  readonly sequences: number;
  /** null: none was told of, or the engine shares none. */
  readonly shared: SharedPrefix | null;
  readonly fits: Fits;
}

/** How many such sequences run at a time. */
export interface Fits {
  /** null where the weights are not known. */
  readonly sequences: number | null;
  readonly gpuBytes: number;
  /** Of each GPU, beside the weights; null where those are not known. */
  readonly budgetBytes: number | null;
  /** On each GPU. */
  readonly weightBytes: number | null;
}

/** The estimate, or every problem with what was asked. Reads the files that are named. */
export async function estimate(values: EstimateValues): Promise<Estimated | readonly Problem[]> {
  const model = askedModel(values);
  if ('field' in model) return [model];
  const { spec, weightBytes } = model;
  const refused = refusedValue(values, spec);
  if (refused !== null) return [refused];
  const asked = await askedRequest(values, spec);
  if ('field' in asked) return [asked];
  const { promptTokens, prompts, sequences } = asked;
  const maxTokens = values['max-tokens'] ?? asked.maxTokens;
  if (maxTokens === null) {
    return [problem('max-tokens', 'is needed: the output tokens of the request at most')];
  }
  const tokens = promptTokens.hi + maxTokens;
  if (tokens > spec.contextTokens) {
    const context = `the context of ${spec.id} is ${spec.contextTokens.toLocaleString('en')} tokens`;
    return [
      problem('max-tokens', `is too large beside a prompt of ${promptTokens.hi}: ${context}`),
    ];
  }
  const layout = estimateLayout(values, spec, tokens);
  const result = estimateRequest(layout, promptTokens.hi, tokens, values.gpus);
  const cachedTokens = values['cached-tokens'];
  const shared =
    cachedTokens === null || layout.model !== 'paged'
      ? null
      : sharedPrefix(layout, promptTokens.hi, cachedTokens);
  const gpuBytes = values['gpu-gb'] * GIB;
  const usable = Math.min(
    gpuBytes * values['gpu-memory-threshold'],
    gpuBytes - values['mem-safety-reserve-mb'] * MIB,
  );
  const share = weightBytes === null ? null : Math.ceil(weightBytes / values.gpus);
  const budgetBytes = share === null ? null : Math.max(0, Math.floor(usable - share));
  const fitting =
    budgetBytes === null
      ? null
      : requestsThatFit(
          layout,
          promptTokens.hi,
          tokens,
          values.gpus,
          budgetBytes,
          cachedTokens ?? 0,
        );
  return {
    model: spec.id,
    modelSource: spec.source,
    engine: values.engine,
    promptTokens,
    maxTokens,
    prompts,
    sequences,
    ...result,
    shared,
    fits: { sequences: fitting, gpuBytes, budgetBytes, weightBytes: share },
  };
}

async function askedRequest(
  values: EstimateValues,
  spec: ModelSpec,
): Promise<AskedRequest | Problem> {
  const { body, engine } = values;
  const tokens = values['prompt-tokens'];
  if (body !== null && tokens !== null) {
    return problem('body', "can't be given beside --prompt-tokens");
  }
  if (body !== null) {
    const layout = estimateLayout(values, spec, spec.contextTokens);
    const asked = await bodyRequest(body, engine, layout);
    return typeof asked === 'string' ? problem('body', asked) : asked;
  }
  if (tokens === null) {
    return problem('prompt-tokens', 'is needed, or --body with a request as JSON');
  }
  const promptTokens = { lo: tokens, expected: tokens, hi: tokens, source: 'token-ids' } as const;
  return { promptTokens, maxTokens: null, prompts: 1, sequences: 1 };
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}

/** `kvgate estimate`: what one request takes, part by part, and how many such fit on a GPU. */
import { statSync } from 'node:fs';
import type { Problem } from './config/problem.ts';
import { readModelFile } from './config/read-model-file.ts';
import { type EstimateValues, estimateLayout } from './estimate-layout.ts';

export { estimateReport } from './estimate-report.ts';

import { type AskedRequest, bodyRequest } from './estimate-request.ts';
import { findModel } from './memory/catalog/catalog.ts';
import {
  estimateRequest,
  type RequestEstimate,
  requestsThatFit,
  type SharedPrefix,
  sharedPrefix,
} from './memory/estimate/request-estimate.ts';
import { specFromModelFile } from './memory/models/model-file.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import { knownWeightBytes } from './memory/models/weights.ts';
import type { TokenBounds } from './memory/token-bounds.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

export interface Estimated extends RequestEstimate {
  readonly model: string;
  readonly modelSource: string;
  readonly engine: EstimateValues['engine'];
  readonly promptTokens: TokenBounds;
  readonly maxTokens: number;
  /** Each takes what is told; the body asks for so many. */
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
  const model = modelOf(values);
  if ('problem' in model) return [model.problem];
  const { spec, weightBytes } = model;
  const asked = await askedRequest(values, spec);
  if ('field' in asked) return [asked];
  const { promptTokens, sequences } = asked;
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
  if (cachedTokens !== null && layout.model !== 'paged') {
    return [problem('cached-tokens', `is nothing to ${values.engine}: it shares no blocks`)];
  }
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
    sequences,
    ...result,
    shared,
    fits: { sequences: fitting, gpuBytes, budgetBytes, weightBytes: share },
  };
}

type Model =
  | { readonly spec: ModelSpec; readonly weightBytes: number | null }
  | { readonly problem: Problem };

function modelOf(values: EstimateValues): Model {
  const named = (['model', 'model-config', 'gguf'] as const).filter(
    (name) => values[name] !== null,
  );
  const [field, second] = named;
  if (field === undefined) {
    const message = 'is needed: the name of a model, or --model-config or --gguf with its file';
    return { problem: problem('model', message) };
  }
  if (second !== undefined) {
    return { problem: problem(second, `can't be given beside --${field}`) };
  }
  const told = values['weights-gb'] === null ? null : values['weights-gb'] * GIB;
  const name = values[field] ?? '';
  if (field !== 'model') return modelInFile(field, name, told);
  const spec = findModel(name);
  return spec === null
    ? {
        problem: problem(
          'model',
          `${name.slice(0, 200)} is not known: pass its config.json or GGUF file with --model-config`,
        ),
      }
    : { spec, weightBytes: told ?? knownWeightBytes(spec) };
}

function modelInFile(field: 'model-config' | 'gguf', path: string, told: number | null): Model {
  try {
    const file = readModelFile(path);
    if (!file.ok) return { problem: problem(field, `${path} ${file.why}`) };
    if (field === 'gguf' && file.value.kind !== 'gguf') {
      return { problem: problem(field, `${path} is no GGUF file`) };
    }
    const read = specFromModelFile(file.value);
    if (!read.ok) return { problem: problem(field, `${path}: ${read.field}: ${read.problem}`) };
    // A GGUF file is weights and little else.
    const fileBytes = file.value.kind === 'gguf' ? statSync(path).size : null;
    return { spec: read.spec, weightBytes: told ?? fileBytes ?? knownWeightBytes(read.spec) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { problem: problem(field, `${path} can't be read: ${why}`) };
  }
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
  return { promptTokens, maxTokens: null, sequences: 1 };
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}

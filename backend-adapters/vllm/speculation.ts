/**
 * What speculative decoding adds to a request, from `--speculative-config` and
 * from the metrics that an engine which speculates has. The scheduler keeps
 * slots for the guesses under check (`num_speculative_tokens`) and, where the
 * draft has KV of its own, for those being made (vllm/config/vllm.py,
 * num_lookahead_tokens; _request_remaining_blocks in v1/core/sched/scheduler.py).
 */
import type { Drafting } from '../../proxy/memory/kv-layout.ts';
import { flagInteger, flagValue } from '../command-line.ts';
import { countField, stringField } from '../engine-answer.ts';
import { jsonFlag } from './flags.ts';

export interface Speculation {
  readonly drafting: Drafting | null;
  readonly warnings: readonly string[];
}

/** Guess from what is there already: no draft model, no KV of its own. */
const WITHOUT_DRAFT_KV = ['ngram', '[ngram]', 'ngram_gpu', 'suffix', 'medusa', 'mlp_speculator'];
/** A bonus query beside one for each guess. */
const BLOCK_DRAFTS = ['dflash', 'dspark'];
/** Heads on the model's hidden states: one layer of attention, in shape like the model's. */
const ONE_LAYER = /^(eagle3?|.*mtp)$/;

/** Where an engine speculates and nothing says how far: more than is usual. */
const ASSUMED_TOKENS = 16;

const BE_CERTAIN =
  "let kvgate see vLLM's command line (same host and process namespace) to make it certain";

/** @param toldTokens guesses at a time as the metrics tell them; 0: none are told */
export function speculationOf(flags: readonly string[] | null, toldTokens: number): Speculation {
  const config = flags === null ? null : configOf(flags);
  if (config === null && toldTokens === 0) return { drafting: null, warnings: [] };
  const method = config === null ? null : methodOf(config);
  const asked = config === null ? null : countField(config, 'num_speculative_tokens');
  const tokens = toldTokens > 0 ? toldTokens : (asked ?? ASSUMED_TOKENS);
  const hasOneLayer = method !== null && ONE_LAYER.test(method);
  const hasOwnKv = method === null || !WITHOUT_DRAFT_KV.includes(method);
  const draftSlots = method !== null && BLOCK_DRAFTS.includes(method) ? tokens + 1 : tokens;
  const by = `speculative decoding by ${method ?? 'a method not known'}, ${tokens} tokens ahead`;
  const warnings = [
    ...(toldTokens > 0 || asked !== null ? [] : [`${by} is assumed: nothing tells how many`]),
    ...(hasOneLayer
      ? [`${by}: its draft is counted as one layer shaped like the model's own`]
      : []),
    ...(hasOwnKv && !hasOneLayer
      ? [`${by}: the KV layers of its draft are not known and not counted; ${BE_CERTAIN}`]
      : []),
  ];
  const lookaheadTokens = tokens + (hasOwnKv ? draftSlots : 0);
  return { drafting: { lookaheadTokens, layers: hasOneLayer ? 1 : 0 }, warnings };
}

/** The JSON flag, its short forms, and the flags of versions before it. */
function configOf(flags: readonly string[]): Readonly<Record<string, unknown>> | null {
  const config = jsonFlag(flags, ['--speculative-config', '-sc']);
  const method = flagValue(flags, ['--spec-method']);
  const model = flagValue(flags, ['--spec-model', '--speculative-model']);
  const tokens = flagInteger(flags, ['--spec-tokens', '--num-speculative-tokens']);
  if (config === null && method === null && model === null && tokens === null) return null;
  return {
    ...(method === null ? {} : { method }),
    ...(model === null ? {} : { model }),
    ...(tokens === null ? {} : { num_speculative_tokens: tokens }),
    ...config,
  };
}

/** A config without a method is told by its model's name, as vllm/config/speculative.py does. */
function methodOf(config: unknown): string | null {
  const method = stringField(config, 'method')?.toLowerCase();
  if (method !== undefined) return method;
  const model = stringField(config, 'model')?.toLowerCase() ?? '';
  if (WITHOUT_DRAFT_KV.includes(model)) return model;
  const named = ['eagle3', 'eagle', ...BLOCK_DRAFTS].find((name) => model.includes(name));
  return named ?? null;
}

/** llama-server's routes that do not generate: `/props`, `/slots`, `/tokenize` and so on. */
import { BodyFields } from './body-fields.ts';
import type { JsonObject, Reply, StateCall } from './dialect.ts';
import type { LlamaServer } from './llamacpp-dialect.ts';
import { invalidRequest, llamaError } from './llamacpp-errors.ts';
import type { Slot } from './slot.ts';
import { textTokens } from './tokenizer.ts';

const VOCABULARY = 201_088;

export function llamacppState(
  { method, path, query, body }: StateCall,
  server: LlamaServer,
): Reply | Promise<Reply> | null {
  if (method === 'POST') return post(path, query, body ?? {}, server);
  if (method !== 'GET') return null;
  switch (path) {
    case '/health':
    case '/v1/health':
      return ok({ status: 'ok' });
    case '/props':
      return ok(props(server));
    case '/slots':
      return ok(server.engine.slots.map((slot) => slotState(slot, server)));
    case '/v1/models':
    case '/models':
      return ok({ object: 'list', data: [modelCard(server)] });
    case '/metrics':
      return { status: 200, body: metrics(server) };
    default:
      return null;
  }
}

function post(
  path: string,
  query: URLSearchParams,
  body: JsonObject,
  server: LlamaServer,
): Reply | Promise<Reply> | null {
  if (path === '/tokenize') {
    const { content } = body;
    return ok({ tokens: typeof content === 'string' ? [...textTokens(content)] : [] });
  }
  if (path === '/v1/chat/completions/input_tokens' || path === '/chat/completions/input_tokens') {
    const fields = new BodyFields(body);
    const tokens = fields.chatPrompt();
    if (fields.problem !== null) return invalidRequest(fields.problem);
    return ok({ object: 'response.input_tokens', input_tokens: tokens.length });
  }
  const slotId = /^\/slots\/(\d+)$/.exec(path)?.[1];
  return slotId === undefined ? null : slotAction(Number(slotId), query.get('action'), server);
}

/** Erase waits while the slot works. Saving and restoring are switched off here. */
function slotAction(
  id: number,
  action: string | null,
  { engine }: LlamaServer,
): Reply | Promise<Reply> {
  const slot = engine.slots[id];
  if (slot === undefined) return invalidRequest('Invalid slot ID');
  if (action === 'save' || action === 'restore') {
    return llamaError(501, 'not_supported_error', 'This server does not support slots action.');
  }
  if (action !== 'erase') return invalidRequest('Invalid action');
  return new Promise((resolve) => {
    engine.erase(slot, (erased) => resolve(ok({ id_slot: id, n_erased: erased })));
  });
}

function props({ modelId, slotContextTokens, engine }: LlamaServer): JsonObject {
  return {
    default_generation_settings: { params: {}, n_ctx: slotContextTokens },
    total_slots: engine.slots.length,
    model_alias: modelId,
    model_path: `${modelId}.gguf`,
    modalities: { vision: false, audio: false },
    endpoint_slots: true,
    endpoint_props: false,
    endpoint_metrics: true,
    build_info: 'b11669-simulated',
    is_sleeping: false,
  };
}

/** A slot that never ran a task says less; an idle one goes on reporting its last task. */
function slotState(slot: Slot, { slotContextTokens }: LlamaServer): JsonObject {
  const { task } = slot;
  const base = {
    id: slot.id,
    n_ctx: slotContextTokens,
    speculative: false,
    is_processing: slot.isProcessing,
  };
  if (task === null) return base;
  const remaining = task.sequence.outputTokens - task.generatedTokens;
  return {
    ...base,
    id_task: task.id,
    n_prompt_tokens: slot.cells.length,
    n_prompt_tokens_processed: task.processedTokens,
    n_prompt_tokens_cache: task.cachedTokens,
    params: { n_predict: task.sequence.outputTokens },
    next_token: [
      {
        has_next_token: slot.isProcessing,
        has_new_line: false,
        n_remain: remaining,
        n_decoded: task.generatedTokens,
      },
    ],
  };
}

function modelCard(server: LlamaServer): JsonObject {
  return {
    id: server.modelId,
    object: 'model',
    created: 0,
    owned_by: 'llamacpp',
    meta: {
      n_vocab: VOCABULARY,
      n_ctx: server.slotContextTokens,
      n_ctx_train: server.trainedContextTokens,
      size: server.weightsBytes,
    },
  };
}

function metrics({ engine }: LlamaServer): string {
  const counters = engine.counters();
  const metric = (type: 'gauge' | 'counter', name: string, value: number): string =>
    `# HELP llamacpp:${name} Simulated.\n# TYPE llamacpp:${name} ${type}\nllamacpp:${name} ${value}\n`;
  return [
    metric('counter', 'prompt_tokens_total', counters.promptTokens - counters.cachedTokens),
    metric('counter', 'prompt_tokens_cached_total', counters.cachedTokens),
    metric('counter', 'tokens_predicted_total', counters.generatedTokens),
    metric('gauge', 'requests_processing', counters.running),
    metric('gauge', 'requests_deferred', counters.waiting),
  ].join('');
}

function ok(body: unknown): Reply {
  return { status: 200, body };
}

/**
 * SGLang, read from v0.4.7 to v0.5.20 (python/sglang/srt; files are named where
 * a fact is used). KV lives in a pool of pages that is sized at the start and
 * may be smaller than the context. When it runs dry the engine retracts
 * requests and computes them again later: an overrun costs time.
 *
 * - The port opens once the schedulers are up (entrypoints/http_server.py,
 *   launch_server); then `/health` is 503 while the server warms up, and from
 *   then on it generates a token where the engine is idle. So neither it nor
 *   `/health_generate` is ever asked: the schedulers' own load is.
 * - v0.5.16 to v0.5.19 go on with a request whose client has left, up to its
 *   max_tokens, and `/abort_request` answers 200 without effect (issues 36333,
 *   36876). Such a request is still among `num_running_reqs`, so its lease
 *   drains for as long as the engine counts it.
 * - `/server_info` holds the API keys of the server. It is read by picking
 *   fields, and is in no list of routes.
 * - Every generation route takes the rank from `X-Data-Parallel-Rank`, before
 *   `routed_dp_rank` of the body (serving_base.py, request_headers.py); older
 *   versions do so on OpenAI's routes alone.
 * - In no list, so refused: `/invocations` and `/vertex_generate`, which
 *   generate; `/api/chat` and `/api/generate`, where Ollama's clients would meet
 *   a limit of 128 tokens they did not set, `num_ctx` ignored, no usage in a
 *   stream and "stop" as the reason of every end (entrypoints/ollama/serving.py);
 *   whatever changes the server, `/flush_cache` and `/open_session` among it.
 *   `PUT`, which `/generate`, `/encode` and `/classify` take too, gets a 405.
 */
import type { Adapter } from './adapter.ts';
import { rewriteByRoute, streamEventByRoute, usageByRoute } from './by-route.ts';
import { field, listField, stringField, tryGetJson } from './engine-answer.ts';
import { tryPost } from './one-token.ts';
import { abortedAnswer, abortedEvent } from './sglang/aborted.ts';
import { countSglangTokens } from './sglang/count-tokens.ts';
import { DIALECT } from './sglang/dialect.ts';
import { sglangErrorClass } from './sglang/errors.ts';
import { generatedUsage, generateStreamEvent } from './sglang/generate-answer.ts';
import { rewriteGenerate } from './sglang/generate-rewrite.ts';
import { parseSglang } from './sglang/parse.ts';
import { probeSglang } from './sglang/probe.ts';
import { readSglang } from './sglang/state.ts';

export const sglang: Adapter = {
  name: 'sglang',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/model_info' },
    { method: 'GET', path: '/get_model_info' },
    { method: 'POST', path: '/tokenize' },
    { method: 'POST', path: '/v1/tokenize' },
    { method: 'POST', path: '/detokenize' },
    { method: 'POST', path: '/v1/detokenize' },
    { method: 'POST', path: '/v1/messages/count_tokens' },
  ],
  cancelQuietMs: 0,
  rankHeader: 'X-Data-Parallel-Rank',

  /** `owned_by` of its model cards; where there are none to be had, the description of its model. */
  async detect(io, signal) {
    const models = listField(await tryGetJson(io, '/v1/models', signal), 'data');
    if (models.length > 0) return models.some((card) => field(card, 'owned_by') === 'sglang');
    const info = await tryGetJson(io, '/get_model_info', signal);
    return (
      typeof field(info, 'is_generation') === 'boolean' && stringField(info, 'model_path') !== null
    );
  },

  probe: probeSglang,
  read: (io, facts, signal) => readSglang(io, facts.layout, signal),
  countTokens: countSglangTokens,

  /** An embedding model refuses to generate: then an embedding is the proof. */
  async tryOneToken(io, _facts, signal) {
    const generate = { text: 'Hi', sampling_params: { max_new_tokens: 1 } };
    const why = await tryPost(io, '/generate', generate, signal, (answer) => {
      return generatedUsage(answer) !== null && abortedAnswer(answer) === null;
    });
    if (why === null) return null;
    const isEmbedding = (answer: unknown) => listField(answer, 'embedding').length > 0;
    const other = await tryPost(io, '/encode', { text: 'Hi' }, signal, isEmbedding);
    return other === null ? null : why;
  },

  parse: parseSglang,
  rewrite: (request, shape, grant) =>
    request.route.kind === 'native-text'
      ? rewriteGenerate(request, shape, grant)
      : rewriteByRoute(request, DIALECT, shape, grant),
  usage: (answer, route) =>
    route.kind === 'native-text' ? generatedUsage(answer) : usageByRoute(answer, route),
  streamEvent(data, route) {
    if (route.kind === 'native-text') return generateStreamEvent(data);
    const event = streamEventByRoute(data, route, 'done');
    return event.error === null ? { ...event, error: abortedEvent(data) } : event;
  },
  classifyError: sglangErrorClass,
  hiddenFailure(answer) {
    const aborted = abortedAnswer(answer);
    return aborted === null ? null : sglangErrorClass(200, aborted);
  },
};

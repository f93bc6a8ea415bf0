/**
 * Errors of Ollama: `{"error":"text"}`, and the same text in OpenAI's and
 * Anthropic's shapes on their routes. A failed embedding is a 400, whatever
 * went wrong (server/routes.go, EmbedHandler), so a runner's end is told by the
 * words with which the text begins.
 */
import type { ErrorClass } from '../adapter.ts';
import { errorClass } from '../error-class.ts';

/** llm/llama_server.go: what is said once the process of a model is gone. */
const RUNNER_GONE =
  'model runner has unexpectedly stopped|do embedding request: |an error was encountered while running the model|llama[- ]runner process|unexpected server status';
const BEGINS_SO = new RegExp(`^\\s*\\{\\s*"(?:error|message)"\\s*:\\s*"(?:${RUNNER_GONE})`);
const TOO_LONG =
  /the prompt is longer than the context length|the input length exceeds the context length|exceeds the available context size/;

export function classifyOllamaError(status: number, body: string): ErrorClass {
  if (status === 400 && TOO_LONG.test(body)) return 'too-long';
  // A server error by its meaning is classed like one.
  const meant = status === 400 && BEGINS_SO.test(body) ? 500 : status;
  return errorClass(meant, body, [
    [/server busy/i, 'busy'],
    [new RegExp(RUNNER_GONE), 'dying'],
    [/context size has been exceeded/i, 'overflow'],
    [/timed out waiting for .*runner|loading model/i, 'loading'],
  ]);
}

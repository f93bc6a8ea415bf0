/**
 * What a problem looks like to its caller: a body, or the last event of a
 * stream that broke, in the words of the API that the route speaks.
 */
import type { Api } from '../../backend-adapters/adapter.ts';
import { assertNever } from '../policy/types.ts';
import type { Problem } from './problem.ts';

/** The API of a path that no engine's list names: what is told there still goes to some client. */
export function apiOfPath(path: string): Api {
  if (path === '/v1/messages' || path.startsWith('/v1/messages/')) return 'anthropic';
  if (/^(\/v1)?\/responses(\/|$)/.test(path)) return 'responses';
  return path.startsWith('/api/') ? 'ollama' : 'openai';
}

/** The body of an error, as an object that is to be written as JSON. */
export function errorBody(problem: Problem, api: Api): object {
  const { message, param, code, status } = problem;
  switch (api) {
    case 'openai':
    case 'responses':
      return { error: { message, type: openAiType(status), param, code } };
    case 'anthropic':
      return { type: 'error', error: { type: anthropicType(status), message } };
    case 'ollama':
      return { error: message };
    case 'tgi':
      return { error: message, error_type: code };
    case 'gpt-oss-hf':
      return { detail: message };
    default:
      return assertNever(api);
  }
}

/** The event that ends a broken stream: no client of the API may take it for a regular end. */
export function errorFrame(problem: Problem, api: Api): string {
  const { message, param, code } = problem;
  const body = errorBody(problem, api);
  switch (api) {
    case 'openai':
      return `data: ${JSON.stringify(body)}\n\n`;
    case 'responses': {
      // The event as the API has it; its `error` is what the official SDKs raise by.
      const event = { type: 'error', code, message, param, ...body };
      return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
    }
    case 'anthropic':
      return `event: error\ndata: ${JSON.stringify(body)}\n\n`;
    case 'ollama':
      return `${JSON.stringify(body)}\n`;
    case 'tgi':
      return `data:${JSON.stringify(body)}\n\n`;
    case 'gpt-oss-hf':
      return `data: ${JSON.stringify({ type: 'error', error: message })}\n\n`;
    default:
      return assertNever(api);
  }
}

function openAiType(status: number): string {
  if (status === 429) return 'rate_limit_error';
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** By Anthropic's table of errors; whatever else is at fault on our side is an `api_error`. */
const ANTHROPIC_TYPES: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
]);

function anthropicType(status: number): string {
  const type = ANTHROPIC_TYPES.get(status);
  return type ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

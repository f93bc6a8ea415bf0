/** llama-server's error bodies (server-common.cpp). */
import type { Reply } from './dialect.ts';

export function invalidRequest(message: string): Reply {
  return llamaError(400, 'invalid_request_error', message);
}

export function llamaError(code: number, type: string, message: string): Reply {
  return { status: code, body: { error: { code, message, type } } };
}

/** A prompt that fills the slot: the limit on output plays no part. */
export function contextExceeded(promptTokens: number, contextTokens: number): Reply {
  const message = `request (${promptTokens} tokens) exceeds the available context size (${contextTokens} tokens), try increasing it`;
  const type = 'exceed_context_size_error';
  return {
    status: 400,
    headers: { connection: 'close' },
    body: {
      error: { code: 400, message, type, n_prompt_tokens: promptTokens, n_ctx: contextTokens },
    },
  };
}

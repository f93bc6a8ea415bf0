/**
 * vLLM's own count: `POST /tokenize`, outside /v1 and thus open without a key.
 * It renders chats of gpt-oss by the chat template where the real route uses
 * harmony, so the counts may differ by some tokens.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, ScannedRequest } from '../adapter.ts';
import { countField, parseJson } from '../engine-answer.ts';
import type { RequestKind } from '../openai-dialect.ts';

/** Members that decide what is counted. */
const COUNTED: Readonly<Record<RequestKind, readonly string[]>> = {
  chat: [
    'model',
    'messages',
    'tools',
    'add_generation_prompt',
    'continue_final_message',
    'chat_template',
    'chat_template_kwargs',
    'add_special_tokens',
  ],
  completion: ['model', 'prompt', 'add_special_tokens'],
};

/** null for a list of prompts, and where the engine refuses to count. */
export async function countPromptTokens(
  io: EngineIo,
  request: ScannedRequest,
  kind: RequestKind,
  signal: AbortSignal,
): Promise<number | null> {
  const { members } = request.object;
  if (kind === 'completion' && members.get('prompt')?.kind !== 'string') return null;
  const parts = COUNTED[kind].flatMap((name) => {
    const member = members.get(name);
    return member === undefined || member.kind === 'null'
      ? []
      : [`${JSON.stringify(name)}:${memberJson(request.body, member)}`];
  });
  const reply = await io.post('/tokenize', `{${parts.join(',')}}`, signal);
  return reply.status === 200 ? countField(parseJson(reply.body), 'count') : null;
}

/**
 * SGLang's own count, `POST /tokenize`: of one text in any version, of a chat
 * in recent ones, rendered as the chat route does (openai/serving_tokenize.py,
 * TokenizeRequest). It answers with every token as well, so the count of a very
 * long prompt comes in an answer that is too long to be read.
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { EngineIo, ScannedRequest } from '../adapter.ts';
import { countField, parseJson } from '../engine-answer.ts';

/** Members of a chat that decide what is counted. */
const CHAT_FIELDS = [
  'model',
  'messages',
  'tools',
  'tool_choice',
  'reasoning_effort',
  'continue_final_message',
  'chat_template_kwargs',
];

/** null for a list of prompts, and where the engine refuses to count. */
export async function countSglangTokens(
  io: EngineIo,
  request: ScannedRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const body = bodyOf(request);
  if (body === null) return null;
  const reply = await io.post('/tokenize', body, signal);
  return reply.status === 200 ? countField(parseJson(reply.body), 'count') : null;
}

function bodyOf({ route, body, object }: ScannedRequest): string | null {
  const text = (name: string): string | null => {
    const member = object.members.get(name);
    return member?.kind === 'string' ? `{"prompt":${memberJson(body, member)}}` : null;
  };
  switch (route.kind) {
    case 'completion':
      return text('prompt');
    case 'native-text':
      return text('text');
    case 'chat': {
      const parts = CHAT_FIELDS.flatMap((name) => {
        const member = object.members.get(name);
        return member === undefined || member.kind === 'null'
          ? []
          : [`${JSON.stringify(name)}:${memberJson(body, member)}`];
      });
      return `{${parts.join(',')}}`;
    }
    default:
      return null;
  }
}

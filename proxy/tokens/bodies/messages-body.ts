/** Bodies of Anthropic's Messages API, parsed, as engines make OpenAI chats of them. */
import type { Chat, ToolCall, Turn } from './chat.ts';
import { chatOf, joinedText, readTool } from './chat-body.ts';
import { listMember, member, stringMember } from './json-value.ts';
import { TurnList } from './turn-list.ts';

/** null for media, documents, tools of the server's own, and an answer that is to go on. */
export function readMessagesChat(body: unknown): Chat | null {
  const list = new TurnList();
  const system = joinedText(member(body, 'system'));
  const tools = listMember(body, 'tools').map((tool) => readTool(tool, 'input_schema'));
  if (system === null || !tools.every((tool) => tool !== null)) return null;
  if (tools.length > 0 && stringMember(member(body, 'tool_choice'), 'type') === 'none') return null;
  if (system.text !== '') list.add({ role: 'system', text: system.text });
  let { joints } = system;
  for (const message of listMember(body, 'messages')) {
    const read = readMessage(message, list);
    if (read === null) return null;
    joints += read.joints;
    list.add(...read.turns);
  }
  if (!list.turns.some(({ role }) => role !== 'system')) return null;
  // Engines read `thinking` each in a way of its own; all that it can change is the effort.
  return chatOf(list.turns, { tools, effort: null, perhaps: [], joints });
}

function readMessage(
  message: unknown,
  before: TurnList,
): { readonly turns: readonly Turn[]; readonly joints: number } | null {
  const content = member(message, 'content');
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const role = stringMember(message, 'role');
  if (!Array.isArray(blocks) || (role !== 'user' && role !== 'assistant')) return null;
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: ToolCall[] = [];
  const results: Turn[] = [];
  let joints = 0;
  for (const block of blocks) {
    switch (stringMember(block, 'type')) {
      case 'text':
        texts.push(stringMember(block, 'text') ?? '');
        break;
      case 'thinking':
        thoughts.push(stringMember(block, 'thinking') ?? '');
        break;
      case 'redacted_thinking':
        break;
      case 'tool_use':
        calls.push({
          id: stringMember(block, 'id') ?? null,
          name: stringMember(block, 'name') ?? '',
          arguments: JSON.stringify(member(block, 'input') ?? {}),
        });
        break;
      case 'tool_result': {
        const result = joinedText(member(block, 'content'));
        if (result === null) return null;
        joints += result.joints;
        const callId = stringMember(block, 'tool_use_id') ?? null;
        const name = before.nameOfCall(callId);
        results.push({ role: 'tool', text: result.text, name, callId });
        break;
      }
      default:
        return null;
    }
  }
  joints += Math.max(0, texts.length - 1);
  const text = texts.join('\n');
  if (role === 'assistant') {
    return { turns: [{ role, text, thinking: thoughts.join('\n'), calls }], joints };
  }
  const said: readonly Turn[] = texts.length > 0 ? [{ role, text }] : [];
  return { turns: [...results, ...said], joints };
}

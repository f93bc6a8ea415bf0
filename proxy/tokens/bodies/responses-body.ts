/** Bodies of OpenAI's Responses API, parsed, as engines make chats of them. */
import type { Chat, ToolCall, Turn } from './chat.ts';
import { chatOf, effortOf, joinedText, printed, readTool } from './chat-body.ts';
import { listMember, member, stringMember } from './json-value.ts';
import { TurnList } from './turn-list.ts';

/** null for media, stored items, and tools of the server's own. */
export function readResponsesChat(body: unknown): Chat | null {
  const tools = listMember(body, 'tools').map((tool) =>
    stringMember(tool, 'type') === 'function' ? readTool(tool, 'parameters') : null,
  );
  if (!tools.every((tool) => tool !== null)) return null;
  if (tools.length > 0 && member(body, 'tool_choice') === 'none') return null;
  const list = new TurnList();
  const instructions = stringMember(body, 'instructions');
  if (instructions !== undefined) list.add({ role: 'system', text: instructions });
  const input = member(body, 'input');
  const items = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  if (!Array.isArray(items) || items.length === 0) return null;
  let joints = 0;
  let thinking = '';
  for (const item of items) {
    const read = readItem(item, thinking, list);
    if (read === null) return null;
    thinking = read.thinking;
    joints += read.joints;
    list.add(...read.turns);
  }
  return chatOf(list.turns, {
    tools,
    effort: effortOf(member(member(body, 'reasoning'), 'effort')),
    perhaps: printed(member(member(body, 'text'), 'format')),
    joints,
  });
}

interface ReadItem {
  readonly turns: readonly Turn[];
  readonly joints: number;
  /** Of a reasoning item, for the message that follows. */
  readonly thinking: string;
}

function readItem(item: unknown, thinking: string, before: TurnList): ReadItem | null {
  switch (stringMember(item, 'type') ?? 'message') {
    case 'message':
      return readMessage(item, thinking);
    case 'function_call': {
      const call: ToolCall = {
        id: stringMember(item, 'call_id') ?? null,
        name: stringMember(item, 'name') ?? '',
        arguments: stringMember(item, 'arguments') ?? '{}',
      };
      const turn: Turn = { role: 'assistant', text: '', thinking, calls: [call] };
      return { turns: [turn], joints: 0, thinking: '' };
    }
    case 'function_call_output': {
      const output = joinedText(member(item, 'output'));
      if (output === null) return null;
      const callId = stringMember(item, 'call_id') ?? null;
      const name = before.nameOfCall(callId);
      const turn: Turn = { role: 'tool', text: output.text, name, callId };
      return { turns: [turn], joints: output.joints, thinking };
    }
    case 'reasoning': {
      const text = joinedText(member(item, 'content'));
      return text === null ? null : { turns: [], joints: text.joints, thinking: text.text };
    }
    default:
      return null;
  }
}

function readMessage(item: unknown, thinking: string): ReadItem | null {
  const content = joinedText(member(item, 'content'));
  if (content === null) return null;
  const { text, joints } = content;
  const role = stringMember(item, 'role');
  switch (role) {
    case 'assistant':
      return { turns: [{ role, text, thinking, calls: [] }], joints, thinking: '' };
    case 'system':
    case 'developer':
    case 'user':
      return { turns: [{ role, text }], joints, thinking };
    default:
      return null;
  }
}

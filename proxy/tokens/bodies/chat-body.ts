/** Chats of OpenAI's Chat Completions and of Ollama's /api/chat, parsed. */
import type { Chat, Tool, ToolCall, Turn } from './chat.ts';
import {
  entriesOf,
  isObject,
  type JsonObject,
  listMember,
  member,
  stringMember,
} from './json-value.ts';
import { TurnList } from './turn-list.ts';

/** Members that change the prompt in a way that is not known here. */
const UNREADABLE = [
  'add_generation_prompt',
  'add_special_tokens',
  'builtin_tools',
  'chat_template',
  'chat_template_kwargs',
  'continue_final_message',
  'documents',
  'function_call',
  'functions',
  'json_schema',
  'model_identity',
  'template',
  'truncate_prompt_tokens',
];

/** What an assistant thought, as clients and engines call it. */
const THOUGHTS = ['reasoning_content', 'reasoning', 'thinking'];

const MESSAGE_MEMBERS: ReadonlySet<string> = new Set([
  ...['role', 'content', 'tool_calls', 'tool_call_id', 'tool_name'],
  ...THOUGHTS,
]);

/** Text of a message, with the number of parts that were joined; null: more than text. */
export interface Joined {
  readonly text: string;
  readonly joints: number;
}

/** `content` as a string, nothing, or parts of which all are text. */
export function joinedText(content: unknown): Joined | null {
  if (content === undefined || content === null) return { text: '', joints: 0 };
  if (typeof content === 'string') return { text: content, joints: 0 };
  if (!Array.isArray(content)) return null;
  const texts = content.map((part) =>
    typeof part === 'string' ? part : stringMember(part, 'text'),
  );
  if (!texts.every((text) => text !== undefined)) return null;
  return { text: texts.join('\n'), joints: Math.max(0, texts.length - 1) };
}

export function readChat(body: unknown): Chat | null {
  if (UNREADABLE.some((name) => member(body, name) !== undefined)) return null;
  if (listMember(body, 'tools').length > 0 && member(body, 'tool_choice') === 'none') return null;
  const tools = readTools(listMember(body, 'tools'));
  const list = new TurnList();
  let joints = 0;
  for (const message of listMember(body, 'messages')) {
    const read = isObject(message) ? readMessage(message, list) : null;
    if (read === null) return null;
    joints += read.joints;
    list.add(read.turn);
  }
  const { turns } = list;
  if (tools === null || turns.length === 0) return null;
  return chatOf(turns, {
    tools,
    effort: effortOf(member(body, 'reasoning_effort') ?? member(body, 'think')),
    perhaps: ['response_format', 'format'].flatMap((name) => printed(member(body, name))),
    joints,
  });
}

/** Takes the leading system message, if there is one, for the instructions. */
export function chatOf(
  turns: readonly Turn[],
  rest: Pick<Chat, 'tools' | 'effort' | 'perhaps' | 'joints'>,
): Chat {
  const [first, ...others] = turns;
  if (first?.role === 'system' || first?.role === 'developer') {
    return { ...rest, instructions: first.text, instructor: first.role, turns: others };
  }
  return { ...rest, instructions: null, instructor: 'system', turns };
}

export function effortOf(asked: unknown): Chat['effort'] {
  if (asked === false) return false;
  return typeof asked === 'string' ? asked : null;
}

/** A member that may be printed as it is written; `{ type: 'text' }` asks for nothing. */
export function printed(value: unknown): readonly string[] {
  if (value === undefined || member(value, 'type') === 'text') return [];
  return [JSON.stringify(value)];
}

/** @param before the messages before this one */
function readMessage(message: JsonObject, before: TurnList): { turn: Turn; joints: number } | null {
  const content = joinedText(member(message, 'content'));
  const role = stringMember(message, 'role');
  if (content === null || holdsMore(message, role)) return null;
  const { text, joints } = content;
  switch (role) {
    case 'user':
    case 'system':
    case 'developer':
      return { turn: { role, text }, joints };
    case 'assistant': {
      const calls = listMember(message, 'tool_calls').map(readCall);
      if (!calls.every((call) => call !== null)) return null;
      // Engines read one of them; where they differ, which one is not known.
      const thoughts = new Set(THOUGHTS.flatMap((name) => stringMember(message, name) ?? []));
      if (thoughts.size > 1) return null;
      const [thinking = ''] = thoughts;
      return { turn: { role, text, thinking, calls }, joints };
    }
    case 'tool': {
      const named = stringMember(message, 'tool_name') ?? stringMember(message, 'name');
      const callId = stringMember(message, 'tool_call_id') ?? null;
      const name = named ?? before.nameOfCall(callId);
      return { turn: { role, text, name, callId }, joints };
    }
    default:
      return null;
  }
}

/** Members that some template may print; clients leave others empty. */
function holdsMore(message: JsonObject, role: string | undefined): boolean {
  return entriesOf(message).some(([name, value]) => {
    const isEmpty = value === null || (Array.isArray(value) && value.length === 0);
    return !isEmpty && !MESSAGE_MEMBERS.has(name) && !(name === 'name' && role === 'tool');
  });
}

function readCall(call: unknown): ToolCall | null {
  const named = member(call, 'function');
  const name = stringMember(named, 'name');
  const given = member(named, 'arguments') ?? {};
  // gpt-oss's template prints it in the place of `json`.
  if (name === undefined || member(named, 'content_type') !== undefined) return null;
  const written = typeof given === 'string' ? given : JSON.stringify(given);
  return { id: stringMember(call, 'id') ?? null, name, arguments: written };
}

function readTools(tools: readonly unknown[]): readonly Tool[] | null {
  const read = tools.map((tool) => readTool(member(tool, 'function'), 'parameters'));
  return read.every((tool) => tool !== null) ? read : null;
}

/** @param schema the member that holds it */
export function readTool(tool: unknown, schema: string): Tool | null {
  const name = stringMember(tool, 'name');
  if (name === undefined) return null;
  return {
    name,
    description: stringMember(tool, 'description') ?? '',
    parameters: member(tool, schema),
  };
}

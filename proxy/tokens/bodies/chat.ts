/**
 * A conversation as templates see it, whichever API it came by. `null` from a
 * reader means that it holds something kvgate does not know how engines print.
 */
export interface Chat {
  /** The system or developer message that leads; null: none. */
  readonly instructions: string | null;
  /** Who gives them: Ollama prints those of a developer nowhere. */
  readonly instructor: 'system' | 'developer';
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  /** As asked for; null: the template's default. false: no reasoning. */
  readonly effort: string | false | null;
  /** Texts that some engines print and others do not: the schema of an answer. */
  readonly perhaps: readonly string[];
  /** Texts that were joined from parts; engines put a line break between, or nothing. */
  readonly joints: number;
}

export type Turn =
  | { readonly role: 'user' | 'system' | 'developer'; readonly text: string }
  | {
      readonly role: 'assistant';
      readonly text: string;
      readonly thinking: string;
      readonly calls: readonly ToolCall[];
    }
  | {
      readonly role: 'tool';
      readonly text: string;
      /** Of the tool; null where neither the message nor an earlier call names it. */
      readonly name: string | null;
      /** Of the call that it answers, as some templates print it. */
      readonly callId: string | null;
    };

export interface ToolCall {
  readonly id: string | null;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface Tool {
  readonly name: string;
  readonly description: string;
  /** A JSON schema; undefined: none was given. */
  readonly parameters: unknown;
}

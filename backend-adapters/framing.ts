/**
 * Tokens that chat templates add around the text. Measured where an engine can
 * count; else these bounds: the harmony template of gpt-oss opens with 61 to 77
 * tokens and adds 4 to 15 a message, others add less.
 */
import type { Framing } from './adapter.ts';

export const DEFAULT_FRAMING: Framing = { baseTokens: 128, perMessageTokens: 16 };

/** For what a measurement with plain messages does not show: tools, other roles. */
export const FRAMING_MARGIN: Framing = { baseTokens: 16, perMessageTokens: 12 };

/**
 * The tokens of the tiny Hugging Face model: one a byte, at the ids that
 * o200k_harmony gives them, and the control tokens of the Harmony format.
 */

/** Rows of the vocabulary that vLLM renders chats by. */
export const VOCABULARY = 201_088;
export const WINDOW = 4_096;

const BYTE_TOKENS = 256;
export const FINAL = 17_196;
export const ASSISTANT = 173_781;
export const RETURN = 200_002;
export const CHANNEL = 200_005;
export const MESSAGE = 200_008;
const CONTROL_TOKENS = new Map([
  ['<|startoftext|>', 199_998],
  ['<|endoftext|>', 199_999],
  ['<|return|>', RETURN],
  ['<|constrain|>', 200_003],
  ['<|channel|>', CHANNEL],
  ['<|start|>', 200_006],
  ['<|end|>', 200_007],
  ['<|message|>', MESSAGE],
  ['<|call|>', 200_012],
]);

export const CHAT_TEMPLATE =
  "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endfor %}" +
  '{% if add_generation_prompt %}<|start|>assistant<|channel|>final<|message|>{% endif %}';

export const TOKENIZER_CONFIG = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: '<|startoftext|>',
  eos_token: '<|return|>',
  pad_token: '<|endoftext|>',
  clean_up_tokenization_spaces: false,
  model_max_length: WINDOW,
};

/**
 * Byte-level BPE writes a byte as a character: itself where it can be printed,
 * the next free one from U+0100 on where not. Token ids are in the order of
 * those characters.
 */
export function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  const bytes = Array.from({ length: BYTE_TOKENS }, (_, byte) => byte);
  const shown = bytes.filter(printable);
  const hidden = bytes.length - shown.length;
  return [...shown, ...Array.from({ length: hidden }, (_, index) => 0x100 + index)].map((code) =>
    String.fromCodePoint(code),
  );
}

/** The content of tokenizer.json. */
export function tokenizer() {
  const bytes = byteCharacters().map((character, id) => [character, id] as const);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const words = [...CONTROL_TOKENS].map(([content, id]) => ({ content, id }));
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: '1.0',
    added_tokens: words.map((word) => ({ ...word, ...plain, special: true })),
    pre_tokenizer: { ...byteLevel, use_regex: false },
    decoder: { ...byteLevel, use_regex: false },
    model: {
      type: 'BPE',
      vocab: {
        ...Object.fromEntries(bytes),
        final: FINAL,
        assistant: ASSISTANT,
        ...Object.fromEntries(CONTROL_TOKENS),
      },
      merges: [],
    },
  };
}

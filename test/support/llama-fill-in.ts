/** Start options that let the tiny model fill in the middle: control tokens of its own serve as marks. */
const MARKS = { fim_pre: 259, fim_suf: 260, fim_mid: 263, fim_rep: 264, fim_sep: 265 };

export const FILL_IN: readonly string[] = [
  '--override-kv',
  Object.entries(MARKS)
    .map(([mark, token]) => `tokenizer.ggml.${mark}_token_id=int:${token}`)
    .join(','),
];

/**
 * Whether a name that an engine gives its model is that of a model in the
 * catalogue, and not of one made from it with another geometry: every word
 * around the model's own name has to be known to leave the geometry alone.
 */

const MAX_NAME_CHARS = 1024;
/** Folders above a file that are looked at. */
const MAX_PARTS = 8;

/** Publishers that copies of a model are often named after. */
const PUBLISHER =
  /^(?:(?:openai|meta-llama|qwen|google|mistralai|microsoft|deepseek-ai|zai-org|moonshotai|minimaxai|huggingfacetb|unsloth)-(?=[a-z]))?(?:meta-(?=llama))?/;

/** Words for training that keeps the geometry, formats and packings. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...['abliterated', 'uncensored', 'finetuned', 'sft', 'dpo'],
  ...['instruct', 'chat', 'it', 'pt', 'base', 'hf', 'latest', 'gguf', 'ggml', 'mlx', 'safetensors'],
  ...['awq', 'gptq', 'exl2', 'exl3', 'bnb', 'unsloth', 'dynamic', 'quantized', 'ud', 'qat', 'dwq'],
  ...['autoround', 'imatrix', 'i1', 'marlin', 'bf16', 'fp16', 'f16', 'fp32', 'f32', 'fp8', 'fp4'],
  ...['nf4', 'nvfp4', 'mxfp4', 'mxfp8', 'int4', 'int8', 'w4a16', 'w8a8', 'w8a16', 'of'],
]);
/** `4bit`, and the parts of `00001-of-00003`. */
const HARMLESS_FORM = /^(?:[2-8]bit|\d{5})$/;
/** llama.cpp's types: `q4-k-m`, `iq2-xxs`, `q8-0`. */
const QUANTIZED = /-i?q[1-8](?:-(?:[01]|k|xxs|xs|s|m|l|xl|nl))*(?=-|$)/g;
/** A dot that stands for a dash, before a type or a file's ending. */
const ENDING = /\.(?=i?q[1-8]-|i1-|bf16|f16|f32|w\da\d|gguf$|safetensors$)/g;

/** Names that files and folders of any model have. */
const NEUTRAL =
  /^(?:|gguf|main|snapshots|blobs|consolidated|(?:ggml-)?model(?:-\d{5}-of-\d{5})?(?:-gguf|-safetensors)?|(?:sha256-)?[0-9a-f]{32,64})$/;

/**
 * The part of a hub id, a path or a tag that names the model, in lower case
 * with `-` between its words: the last one that is not neutral. Null when
 * there is none.
 */
export function modelName(name: string): string | null {
  if (name.length > MAX_NAME_CHARS) return null;
  const parts = name.toLowerCase().split(/[/\\]/).slice(-MAX_PARTS);
  for (const part of parts.reverse()) {
    // The hub's cache: models--publisher--model.
    const own = part.split('--').at(-1) ?? '';
    const words = own.replace(/[\s_:]+/g, '-').replace(ENDING, '-');
    if (!NEUTRAL.test(words)) return words;
  }
  return null;
}

/** Whether `name`, as modelName gives it, is `pattern` with harmless words around it alone. */
export function isNamed(name: string, pattern: RegExp): boolean {
  return [name, name.replace(PUBLISHER, '')].some((candidate) => {
    const match = pattern.exec(candidate);
    if (match === null || match.index !== 0) return false;
    const rest = candidate.slice(match[0].length).replace(QUANTIZED, '');
    return rest === '' || (rest.startsWith('-') && rest.slice(1).split('-').every(isHarmless));
  });
}

function isHarmless(word: string): boolean {
  return HARMLESS.has(word) || HARMLESS_FORM.test(word);
}

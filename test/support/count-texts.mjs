/**
 * A worker that counts tokens of lists of texts, exactly: a tokenizer runs four
 * times slower among the globals of a test.
 */
import { parentPort } from 'node:worker_threads';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_harmony';

const AS_TEXT = { disallowedSpecial: new Set() };

parentPort?.on('message', (texts) =>
  parentPort?.postMessage(texts.map((text) => countTokens(text, AS_TEXT))),
);

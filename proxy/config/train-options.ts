/** The options of `kvgate train`. */
import { list, textOrNone } from './option.ts';

export const TRAIN_OPTIONS = {
  log: list('A decision log to learn from, the oldest first; repeatable.'),
  'state-dir': textOrNone('Folder for what is learned; replaces what is kept there.'),
} as const;

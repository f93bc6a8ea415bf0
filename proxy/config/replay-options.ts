/** The options of `kvgate replay`. */
import { boolean, list } from './option.ts';

export const REPLAY_OPTIONS = {
  log: list('A decision log to play again, the oldest first; repeatable.'),
  set: list(
    'NAME=VALUE: an option of the Memory or Admission group that is to be another; repeatable.',
  ),
  json: boolean('Print JSON.', false),
} as const;

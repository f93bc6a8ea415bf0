/** What comes next between two tokens, or the token that is open. */
export type ScanState =
  | 'start'
  | 'key or close'
  | 'key'
  | 'colon'
  | 'value or close'
  | 'value'
  | 'comma or close'
  | 'in key'
  | 'in string'
  | 'in scalar'
  | 'done'
  | 'failed';

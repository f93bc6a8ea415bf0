/** The two fields in which SGLang's own routes take prompts: `text` and `input_ids`. */
import type { InvalidRequest, ScannedRequest } from '../adapter.ts';

/** The number of prompts would come from the one and the tokens from the other. */
export const BOTH_INPUTS: InvalidRequest = {
  invalid: "text and input_ids can't be given together",
  param: 'input_ids',
};

export function holds({ object }: ScannedRequest, name: string): boolean {
  const member = object.members.get(name);
  return member !== undefined && member.kind !== 'null';
}

const MAX_ID_CHARS = 200;

/** A model's own name as one line may hold it: files say anything, at any length. */
export function modelId(name: string): string {
  return name.slice(0, MAX_ID_CHARS).replace(/\p{Cc}/gu, '?');
}

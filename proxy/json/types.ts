/**
 * What the scanner reports of a JSON object, without ever building it: the
 * spans of its top-level members and how much text each of them holds.
 */

export type JsonKind = 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array';

/**
 * Parts of a prompt that are no text. The numbers are upper bounds: a part that
 * one engine may take for an image and another for a video counts as both. The
 * bytes are a lower bound: what is not surely media is text.
 */
export interface Media {
  readonly images: number;
  readonly audios: number;
  readonly videos: number;
  readonly files: number;
  /** Embeddings made by the client: nothing bounds how many tokens they stand for. */
  readonly embeddings: number;
  /** Images or recordings: which of them, their place does not tell. */
  readonly unnamed: number;
  /**
   * Bytes of the strings that are the media themselves (base64, data URLs, plain
   * URLs): decoded, as they count in `stringBytes`, and as the body writes them.
   */
  readonly payloadBytes: number;
  readonly payloadWrittenBytes: number;
}

/** One member of the top-level object. Offsets are bytes into the whole body. */
export interface Member {
  readonly key: string;
  /** First byte of the key's opening quote. */
  readonly keyStart: number;
  readonly valueStart: number;
  /** One past the last byte of the value. */
  readonly valueEnd: number;
  readonly kind: JsonKind;
  /** Direct children of an array or object value; 0 for scalars. */
  readonly children: number;
  /** The distinct kinds of an array's direct children, in order of first appearance. */
  readonly childKinds: readonly JsonKind[];
  /**
   * UTF-8 bytes of all string values inside this value, escapes decoded, keys
   * excluded; for a string value its own. A lone surrogate escape counts 3.
   */
  readonly stringBytes: number;
  /** UTF-8 bytes of all object keys inside this value, escapes decoded. */
  readonly keyBytes: number;
  /** Number literals inside this value, at any depth; 1 for a number value itself. */
  readonly numbers: number;
  /** Media where requests hold them: in the content of messages and prompts. */
  readonly media: Media;
}

export interface ScannedObject {
  readonly members: ReadonlyMap<string, Member>;
  /** Offset of the top-level closing brace. */
  readonly closingBrace: number;
  readonly bytes: number;
}

export type ScanErrorCode =
  | 'syntax'
  | 'invalid_utf8'
  | 'too_deep'
  | 'not_an_object'
  | 'duplicate_key'
  | 'too_many_members'
  | 'truncated';

export interface ScanError {
  readonly code: ScanErrorCode;
  /** Plain words for the client, naming the field or the byte offset. */
  readonly message: string;
  readonly offset: number;
}

/** Replaces a top-level member's value, or adds the member; `json` is the new value's text. */
export interface Edit {
  readonly key: string;
  readonly json: string;
}

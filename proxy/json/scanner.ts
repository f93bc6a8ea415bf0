/**
 * A strict, incremental JSON tokenizer (RFC 8259) over the bytes of a request.
 * It finds the top-level members and counts what they hold, but never builds a
 * value: it costs one pass, and its memory does not grow with the body.
 */
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isWhitespace,
  OPEN_BRACE,
  QUOTE,
} from './bytes.ts';
import type { MediaRecorder } from './media-recorder.ts';
import { MemberRecorder } from './member-recorder.ts';
import { ScalarScanner } from './scalar-scanner.ts';
import { invalidUtf8, scanError, unexpectedByte } from './scan-error.ts';
import type { ScanState } from './scan-state.ts';
import { StringScanner } from './string-scanner.ts';
import type { ScanError, ScannedObject } from './types.ts';
import { kindStartedBy } from './value-kind.ts';

interface ScanLimits {
  /** Levels of nesting, the top-level object included. */
  readonly maxDepth: number;
  /** Members of the top-level object. */
  readonly maxMembers: number;
}

const DEFAULT_LIMITS: ScanLimits = { maxDepth: 64, maxMembers: 256 };

/**
 * Accepts what `JSON.parse` accepts after a fatal UTF-8 decoding, provided it is
 * an object within the limits and names no field twice. The result does not
 * depend on where the body was cut into chunks, and no chunk is kept.
 */
export class JsonScanner {
  readonly #maxDepth: number;
  readonly #recorder: MemberRecorder;
  readonly #media: MediaRecorder;
  readonly #string = new StringScanner();
  readonly #scalar = new ScalarScanner();
  /** By depth, 1 where the open container is an array and 0 where it is an object. */
  readonly #isArray: Uint8Array;
  #depth = 0;
  #state: ScanState = 'start';
  #closingBrace = 0;
  /** Bytes of all chunks before the present one. */
  #bytes = 0;
  #error: ScanError | null = null;

  constructor(limits: ScanLimits = DEFAULT_LIMITS) {
    this.#maxDepth = limits.maxDepth;
    this.#recorder = new MemberRecorder(limits.maxMembers);
    this.#media = this.#recorder.media;
    this.#isArray = new Uint8Array(limits.maxDepth + 1);
  }

  /** Scans the next bytes of the body. The first error ends the scan and is returned ever after. */
  push(chunk: Uint8Array): ScanError | null {
    let at = 0;
    while (at < chunk.length && this.#state !== 'failed') {
      switch (this.#state) {
        case 'in key':
        case 'in string':
          at = this.#scanString(chunk, at);
          break;
        case 'in scalar':
          at = this.#scanScalar(chunk, at);
          break;
        default: {
          const byte = chunk[at] ?? 0;
          if (!isWhitespace(byte)) this.#state = this.#afterStructure(byte, this.#bytes + at);
          at += 1;
        }
      }
    }
    this.#bytes += chunk.length;
    return this.#error;
  }

  /** Ends the body: what it holds, or why it can't be accepted. */
  end(): ScannedObject | ScanError {
    if (this.#state !== 'done' && this.#state !== 'failed') {
      const problem = 'the body ends before its JSON does,';
      this.#state = this.#fail(scanError('truncated', problem, this.#bytes));
    }
    const { members } = this.#recorder;
    return this.#error ?? { members, closingBrace: this.#closingBrace, bytes: this.#bytes };
  }

  /** The state after a byte between tokens that is not whitespace. */
  #afterStructure(byte: number, offset: number): ScanState {
    switch (this.#state) {
      case 'key or close':
        return byte === CLOSE_BRACE ? this.#closeContainer(offset) : this.#openKey(byte, offset);
      case 'key':
        return this.#openKey(byte, offset);
      case 'colon':
        return byte === COLON ? 'value' : this.#unexpected(byte, offset);
      case 'value or close':
        return byte === CLOSE_BRACKET
          ? this.#closeContainer(offset)
          : this.#openValue(byte, offset);
      case 'value':
        return this.#openValue(byte, offset);
      case 'comma or close':
        return this.#afterValue(byte, offset);
      case 'start':
        if (byte === OPEN_BRACE) return this.#openContainer('object', offset);
        return kindStartedBy(byte) === null
          ? this.#unexpected(byte, offset)
          : this.#fail(scanError('not_an_object', 'the body is not a JSON object,', offset));
      default:
        return this.#unexpected(byte, offset);
    }
  }

  #afterValue(byte: number, offset: number): ScanState {
    const inArray = this.#isArray[this.#depth] === 1;
    if (byte === COMMA) return inArray ? 'value' : 'key';
    return byte === (inArray ? CLOSE_BRACKET : CLOSE_BRACE)
      ? this.#closeContainer(offset)
      : this.#unexpected(byte, offset);
  }

  #openKey(byte: number, offset: number): ScanState {
    if (byte !== QUOTE) return this.#unexpected(byte, offset);
    const error = this.#depth === 1 ? this.#recorder.openKey(offset) : null;
    if (error !== null) return this.#fail(error);
    this.#string.begin();
    return 'in key';
  }

  #openValue(byte: number, offset: number): ScanState {
    const kind = kindStartedBy(byte);
    if (kind === null) return this.#unexpected(byte, offset);
    this.#recorder.openValue(kind, this.#depth, offset);
    if (kind === 'object' || kind === 'array') return this.#openContainer(kind, offset);
    if (kind === 'string') {
      this.#string.begin();
      return 'in string';
    }
    this.#scalar.begin(byte);
    return 'in scalar';
  }

  #openContainer(kind: 'object' | 'array', offset: number): ScanState {
    if (this.#depth >= this.#maxDepth) {
      const problem = `nested deeper than ${this.#maxDepth} levels,`;
      return this.#fail(scanError('too_deep', problem, offset));
    }
    this.#depth += 1;
    this.#isArray[this.#depth] = kind === 'array' ? 1 : 0;
    return kind === 'array' ? 'value or close' : 'key or close';
  }

  #closeContainer(offset: number): ScanState {
    this.#depth -= 1;
    if (this.#depth > 0) return this.#closeValue(offset + 1);
    this.#closingBrace = offset;
    return 'done';
  }

  #closeValue(end: number): ScanState {
    this.#recorder.closeValue(this.#depth, end);
    return 'comma or close';
  }

  #scanScalar(chunk: Uint8Array, from: number): number {
    const at = this.#scalar.scan(chunk, from);
    const offset = this.#bytes + at;
    if (this.#scalar.state === 'closed') {
      this.#state = this.#closeValue(offset);
    } else if (this.#scalar.state === 'syntax') {
      this.#state = this.#unexpected(chunk[at] ?? 0, offset);
    }
    return at;
  }

  #scanString(chunk: Uint8Array, from: number): number {
    const isField = this.#state === 'in key' && this.#depth === 1;
    // A field's name is scanned no further than it can be kept, wherever the chunks end.
    const to = isField ? Math.min(chunk.length, from + this.#recorder.keyRoom) : chunk.length;
    const at = this.#string.scan(chunk, from, to);
    const offset = this.#bytes + at;
    const { state } = this.#string;
    if (isField) this.#recorder.appendKey(chunk, from, at);
    else if (this.#depth === this.#media.depth) {
      this.#media.takeText(chunk, from, at, state === 'closed');
    }
    switch (state) {
      case 'open':
        if (isField && this.#recorder.keyRoom === 0) {
          this.#state = this.#fail(this.#recorder.keyTooLong());
        }
        break;
      case 'closed':
        this.#state = this.#closeString(offset);
        break;
      case 'invalid_utf8':
        this.#state = this.#fail(invalidUtf8(offset));
        break;
      case 'syntax':
        this.#state = this.#unexpected(chunk[at] ?? 0, offset);
    }
    return at;
  }

  #closeString(end: number): ScanState {
    if (this.#state === 'in string') {
      this.#recorder.closeString(this.#string.decodedBytes, this.#depth, end);
      return 'comma or close';
    }
    if (this.#depth > 1) {
      this.#recorder.closeNestedKey(this.#string.decodedBytes, this.#depth);
      return 'colon';
    }
    const error = this.#recorder.closeKey();
    return error === null ? 'colon' : this.#fail(error);
  }

  #unexpected(byte: number, offset: number): ScanState {
    return this.#fail(unexpectedByte(byte, offset));
  }

  #fail(error: ScanError): ScanState {
    this.#error = error;
    return 'failed';
  }
}

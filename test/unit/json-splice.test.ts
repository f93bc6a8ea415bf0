import { describe, expect, test } from '@jest/globals';
import { memberJson, smallValue, splice, splicedPieces } from '../../proxy/json/splice.ts';
import type { Edit } from '../../proxy/json/types.ts';
import { bytesOf, memberOf, scanObject } from '../support/scan-json.ts';

function spliceText(text: string, ...edits: Edit[]): string {
  const body = bytesOf(text);
  return new TextDecoder().decode(splice(body, scanObject(body), edits));
}

const maxTokens = (json: string): Edit => ({ key: 'max_tokens', json });

describe('splice', () => {
  test('changes one value and leaves everything else as it was', () => {
    const before = '{ "seed":12345678901234567890 ,\n\t"temperature":1.0,"max_tokens" : 4096 ,';
    const after = '"x-unknown":{"b":1e2,"a":[ ]},"model":"\\u006d", "messages":[ "caf\u00e9" ]}\n';
    expect(spliceText(before + after, maxTokens('256'))).toBe(
      before.replace('4096', '256') + after,
    );
  });

  test.each([
    ['{}', '{"max_tokens":5}'],
    [' { } ', ' { "max_tokens":5} '],
    ['{"a":1}', '{"a":1,"max_tokens":5}'],
    ['{"a":1\n}\n', '{"a":1\n,"max_tokens":5}\n'],
    ['{"a":{}}', '{"a":{},"max_tokens":5}'],
  ])('adds a member to %j', (before, after) => {
    expect(spliceText(before, maxTokens('5'))).toBe(after);
  });

  test('adds several members in the order of the edits', () => {
    const edits = [maxTokens('5'), { key: 'top_p', json: '0.9' }];
    expect(spliceText('{}', ...edits)).toBe('{"max_tokens":5,"top_p":0.9}');
    expect(spliceText('{"a":1}', ...edits)).toBe('{"a":1,"max_tokens":5,"top_p":0.9}');
  });

  test('changes and adds at once, in whatever order the edits come', () => {
    const text = '{"n":1,"max_tokens":100,"stop":["a"]}';
    const edits = [
      { key: 'added', json: 'true' },
      { key: 'stop', json: 'null' },
      maxTokens('7'),
      { key: 'n', json: '22' },
    ];
    expect(spliceText(text, ...edits)).toBe('{"n":22,"max_tokens":7,"stop":null,"added":true}');
  });

  test('of two edits to one key the last holds', () => {
    expect(spliceText('{"max_tokens":1}', maxTokens('2'), maxTokens('3'))).toBe('{"max_tokens":3}');
    expect(spliceText('{}', maxTokens('2'), maxTokens('3'))).toBe('{"max_tokens":3}');
  });

  test('finds a member by its decoded key and keeps the key as it is written', () => {
    expect(spliceText('{"max\\u005ftokens":9}', maxTokens('5'))).toBe('{"max\\u005ftokens":5}');
  });

  test('touches no nested member of the same name', () => {
    expect(spliceText('{"a":{"max_tokens":1}}', maxTokens('5'))).toBe(
      '{"a":{"max_tokens":1},"max_tokens":5}',
    );
  });

  test('writes an added key and a new value that need escapes or more bytes', () => {
    expect(spliceText('{}', { key: '"é\n', json: '"€"' })).toBe('{"\\"é\\n":"€"}');
    expect(spliceText('{"a":"€","b":1}', { key: 'b', json: '"😀"' })).toBe('{"a":"€","b":"😀"}');
  });

  test('returns the very same bytes when there is nothing to change', () => {
    const body = bytesOf('{"a":1}');
    expect(splice(body, scanObject(body), [])).toBe(body);
  });

  test('does not write into the body it was given', () => {
    const text = '{"max_tokens":100}';
    const body = bytesOf(text);
    splice(body, scanObject(body), [maxTokens('200')]);
    expect(new TextDecoder().decode(body)).toBe(text);
  });
});

describe('a value of the body', () => {
  const body = bytesOf('{"seed": 12345678901234567890 ,"name":"caf\u00e9 \\u20ac","stop":[ 1 ]}');
  const object = scanObject(body);

  test('memberJson gives its text as written', () => {
    expect(memberJson(body, memberOf(object, 'seed'))).toBe('12345678901234567890');
    expect(memberJson(body, memberOf(object, 'name'))).toBe('"café \\u20ac"');
    expect(memberJson(body, memberOf(object, 'stop'))).toBe('[ 1 ]');
  });

  test('smallValue parses it', () => {
    expect(smallValue(body, memberOf(object, 'name'))).toBe('café €');
    expect(smallValue(body, memberOf(object, 'stop'))).toEqual([1]);
  });

  test('smallValue leaves alone what is written in more bytes than allowed', () => {
    const stop = memberOf(object, 'stop');
    expect(smallValue(body, stop, 5)).toEqual([1]);
    expect(smallValue(body, stop, 4)).toBeUndefined();
    const long = bytesOf(`{"a":"${'x'.repeat(65_535)}"}`);
    expect(smallValue(long, memberOf(scanObject(long), 'a'))).toBeUndefined();
  });
});

describe('pieces of a spliced body', () => {
  test.each<[string, Edit[]]>([
    ['nothing', []],
    ['a value', [maxTokens('7')]],
    ['a value and a member', [maxTokens('7'), { key: 'top_p', json: '0.9' }]],
  ])('with %s changed make up the whole, and copy nothing that stays', (_what, edits) => {
    const body = bytesOf('{"model":"m","max_tokens":100,"messages":[]}');
    const object = scanObject(body);
    const pieces = splicedPieces(body, object, edits);
    const joined = pieces.flatMap((piece) => [...piece]);
    expect(joined).toEqual([...splice(body, object, edits)]);
    const views = pieces.filter(({ buffer }) => buffer === body.buffer);
    expect(views).toHaveLength(edits.length + 1);
  });
});

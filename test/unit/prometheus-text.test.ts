import { expect, test } from '@jest/globals';
import { samplesNamed } from '../../proxy/text/prometheus-text.ts';

test.each([
  ['a plain sample', 'm 5', 5],
  ['labels', 'm{a="b"} 0.25', 0.25],
  ['a timestamp', 'm{a="b"} 1 1700000000000', 1],
  ['an exponent', 'm 1.764e+09', 1.764e9],
  ['an infinity', 'm +Inf', Number.POSITIVE_INFINITY],
  ['a negative infinity', 'm -Inf', Number.NEGATIVE_INFINITY],
  ['not a number', 'm NaN', Number.NaN],
  ['a carriage return', 'm 5\r', 5],
])('reads %s', (_, line, value) => {
  expect(samplesNamed(line, ['m']).map((sample) => sample.value)).toEqual([value]);
});

test('reads labels with escapes, commas and braces in them', () => {
  const [sample] = samplesNamed(String.raw`m{a="x\"y\\z\n",b="1,c=\"2\"}",} 1`, ['m']);
  expect(sample?.labels).toEqual(
    new Map([
      ['a', 'x"y\\z\n'],
      ['b', '1,c="2"}'],
    ]),
  );
});

test('leaves out comments, other names and lines that are none', () => {
  const text = '# HELP m help\n# TYPE m gauge\nm_total 1\nm{\n m\nm\n\nm 2\nmm 3\n';
  expect(samplesNamed(text, ['m'])).toEqual([{ name: 'm', labels: new Map(), value: 2 }]);
});

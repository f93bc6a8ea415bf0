/**
 * Texts of many kinds, made by rule and the same every time: what tokenizers and
 * estimates are measured with. No two kinds have the same density of tokens.
 */

/** About as much of each kind. */
const CHARS = 6_000;

export interface TextKind {
  readonly kind: string;
  readonly text: string;
}

/** A generator of numbers below `n` (Lehmer's, with the multiplier of Park and Miller). */
function seeded(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
}

type Below = (n: number) => number;

function pick<T>(below: Below, items: readonly T[]): T {
  const item = items[below(items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Pieces until there are enough characters. */
function fill(seed: number, piece: (below: Below) => string): string {
  const below = seeded(seed);
  let text = '';
  while (text.length < CHARS) text += piece(below);
  return text;
}

/** Sentences of words, some with a comma. */
function sentences(words: string, seed: number, end = '. ', between = ' '): string {
  const list = words.split(' ');
  return fill(seed, (below) => {
    const chosen = Array.from({ length: 4 + below(14) }, () => pick(below, list));
    const comma = below(3) === 0 ? ',' : '';
    return `${chosen.slice(0, 3).join(between)}${comma}${between}${chosen.slice(3).join(between)}${end}`;
  });
}

/** Characters of a range of code points. */
function characters(
  from: number,
  count: number,
  seed: number,
  stop: string,
  every: number,
): string {
  return fill(seed, (below) => {
    const run = Array.from({ length: 3 + below(every) }, () =>
      String.fromCodePoint(from + below(count)),
    );
    return run.join('') + stop;
  });
}

const letters = 'abcdefghijklmnopqrstuvwxyz';
const alphabet = `${letters.toUpperCase()}${letters}0123456789+/`;

function hex(below: Below, digits: number): string {
  return Array.from({ length: digits }, () => below(16).toString(16)).join('');
}

function name(below: Below): string {
  const parts = [
    'read',
    'Block',
    'cache',
    'Token',
    'limit',
    'Pool',
    'next',
    'State',
    'http',
    'Url',
  ];
  return `${pick(below, parts).toLowerCase()}${pick(below, parts)}${pick(below, parts)}`;
}

const ENGLISH =
  'the river under a bridge carries leaves and small boats toward harbour towns where people wait for bread warm light old friends maybe tomorrow morning they said nothing about winter because everyone knew how quickly snow arrives';
const GERMAN =
  'die alte Straßenbahn fährt langsam über den Fluss während Großmütter Geschwindigkeitsbegrenzungen besprechen und Kinder Äpfel zählen im Überlandverkehrsmuseum gestern';
const FRENCH =
  "l'été dernier nous avons marché jusqu'à la forêt où les chênes très hauts gardaient leurs ombres bleues malgré le vent d'août";
const SPANISH =
  'mañana el niño comerá melón mientras su tía canta canciones de la montaña más lejana';
const POLISH = 'żółta łódź płynie wśród gęstych mgieł ku źródłom rzeki gdzie śpią łabędzie';
const TURKISH = 'güneşli bir günde çocuklar ağaçların gölgesinde şarkı söyleyip dağlara bakıyordu';
const VIETNAMESE = 'những con thuyền nhỏ trôi trên dòng sông xanh khi mặt trời lặn xuống núi';
const RUSSIAN =
  'вечером поезд медленно уходил от маленькой станции и пассажиры смотрели на снежные поля за окном';
const GREEK = 'το πρωί η θάλασσα ήταν ήσυχη και οι βάρκες γύριζαν αργά στο λιμάνι';
const HEBREW = 'בבוקר הרוח נשבה מן הים והילדים רצו אל החוף כדי לראות את הספינות';
const ARABIC = 'في الصباح كانت الريح تأتي من البحر وكان الأطفال يركضون نحو الشاطئ';
const HINDI = 'सुबह नदी के किनारे बच्चे पतंग उड़ा रहे थे और हवा धीरे चल रही थी';
const THAI = 'เช้าวันนี้ ลมพัดมาจากทะเล เด็กๆ วิ่งเล่นบนชายหาด และเรือเล็กลอยอยู่ไกลๆ';

export const TEXT_KINDS: readonly TextKind[] = [
  { kind: 'english', text: sentences(ENGLISH, 11) },
  { kind: 'english, long lines', text: sentences(ENGLISH, 12, ' and ') },
  { kind: 'german', text: sentences(GERMAN, 13) },
  { kind: 'french', text: sentences(FRENCH, 14) },
  { kind: 'spanish', text: sentences(SPANISH, 15) },
  { kind: 'polish', text: sentences(POLISH, 16) },
  { kind: 'turkish', text: sentences(TURKISH, 17) },
  { kind: 'vietnamese', text: sentences(VIETNAMESE, 18) },
  { kind: 'russian', text: sentences(RUSSIAN, 19) },
  { kind: 'greek', text: sentences(GREEK, 20) },
  { kind: 'hebrew', text: sentences(HEBREW, 21) },
  { kind: 'arabic', text: sentences(ARABIC, 22) },
  { kind: 'hindi', text: sentences(HINDI, 23) },
  { kind: 'thai', text: sentences(THAI, 24, ' ', '') },
  { kind: 'chinese', text: characters(0x4e00, 3_000, 25, '。', 20) },
  { kind: 'japanese', text: characters(0x3041, 80, 26, '、\n', 18) },
  { kind: 'korean', text: characters(0xac00, 2_000, 27, ' ', 5) },
  { kind: 'emoji', text: characters(0x1f600, 60, 28, ' ', 4) },
  {
    kind: 'emoji families',
    text: fill(29, (below) => `👩‍👩‍👧${pick(below, ['', '👍🏽', '🏳️‍🌈 ', '!'])}`),
  },
  {
    kind: 'typescript',
    text: fill(30, (below) => {
      const [a, b] = [name(below), name(below)];
      return `export function ${a}(${b}: number): number {\n  const total = ${b} * ${below(1000)};\n  return total > 0 ? total : this.#${b}[${below(9)}] ?? null;\n}\n\n`;
    }),
  },
  {
    kind: 'python',
    text: fill(31, (below) => {
      const [a, b] = [name(below), name(below)];
      return `def ${a}(self, ${b}=None):\n    """Gives ${b}."""\n    for i, x in enumerate(${b} or []):\n        if x % ${below(90) + 2} == 0:\n            yield {"${a}": x ** 2, 'i': i}\n\n`;
    }),
  },
  {
    kind: 'c, with tabs',
    text: fill(32, (below) => {
      const a = name(below);
      return `static int ${a}(struct ${a}_ctx *ctx, uint32_t n)\n{\n\tif (!ctx || n >= 0x${hex(below, 4)})\n\t\treturn -EINVAL;\n\treturn ctx->ops->${a}(ctx, n << ${below(8)});\n}\n\n`;
    }),
  },
  {
    kind: 'json',
    text: fill(
      33,
      (below) =>
        `${JSON.stringify({ id: below(1e6), [name(below)]: name(below), ok: below(2) === 0, list: [below(9), null, below(1e4) / 100] })},`,
    ),
  },
  {
    kind: 'json, indented',
    text: fill(
      34,
      (below) =>
        `${JSON.stringify({ [name(below)]: { [name(below)]: [below(99), { deep: { deeper: name(below) } }] } }, null, 2)}\n`,
    ),
  },
  {
    kind: 'csv',
    text: fill(
      35,
      (below) =>
        `${below(1e5)},${name(below)},${below(1e4) / 100},2026-0${1 + below(9)}-1${below(10)},"${pick(below, ['x', 'a;b', ''])}"\r\n`,
    ),
  },
  {
    kind: 'log lines',
    text: fill(
      36,
      (below) =>
        `2026-11-${10 + below(20)}T1${below(10)}:${10 + below(50)}:${10 + below(50)}.${100 + below(900)}Z ${pick(below, ['INFO ', 'WARN ', 'ERROR'])} [worker-${below(16)}] ${name(below)} took ${below(9000)} ms (10.0.${below(256)}.${below(256)}:${1024 + below(60_000)})\n`,
    ),
  },
  {
    kind: 'base64',
    text: fill(
      37,
      (below) => `${Array.from({ length: 76 }, () => alphabet.charAt(below(64))).join('')}\n`,
    ),
  },
  { kind: 'hex', text: fill(38, (below) => `${hex(below, 32)} `) },
  {
    kind: 'uuids',
    text: fill(
      39,
      (below) =>
        `${hex(below, 8)}-${hex(below, 4)}-4${hex(below, 3)}-a${hex(below, 3)}-${hex(below, 12)}\n`,
    ),
  },
  { kind: 'digits', text: fill(40, (below) => String(below(1e9))) },
  {
    kind: 'numbers in columns',
    text: fill(
      41,
      (below) => `${String(below(1e6)).padStart(12)}${String(below(100)).padStart(5)}\n`,
    ),
  },
  {
    kind: 'html',
    text: fill(
      42,
      (below) =>
        `<div class="${name(below)} mt-${below(9)}"><a href="/x/${below(999)}?q=${name(below)}&amp;p=${below(9)}">${name(below)}</a></div>\n`,
    ),
  },
  {
    kind: 'markdown',
    text: fill(
      43,
      (below) =>
        `## ${name(below)}\n\n- [ ] *${name(below)}* and \`${name(below)}\`\n- **${below(100)} %**\n\n| a | b |\n|---|---|\n| ${below(9)} | ${below(99)} |\n\n`,
    ),
  },
  {
    kind: 'sql',
    text: fill(
      44,
      (below) =>
        `SELECT t${below(9)}.${name(below)}, COUNT(*) FROM ${name(below)} AS t${below(9)} WHERE ${name(below)} >= ${below(999)} GROUP BY 1 HAVING COUNT(*) > ${below(9)};\n`,
    ),
  },
  {
    kind: 'urls',
    text: fill(
      45,
      (below) =>
        `https://${name(below).toLowerCase()}.example.org/${hex(below, 6)}/${name(below)}.html?utm_source=${name(below)}&id=${below(1e8)} `,
    ),
  },
  {
    kind: 'white space',
    text: fill(46, (below) => ' '.repeat(1 + below(120)) + pick(below, ['\n', '\t', ' \n', 'x'])),
  },
  {
    kind: 'line breaks',
    text: fill(47, (below) => '\n'.repeat(1 + below(6)) + pick(below, ['a', '\r\n', ' ', '-'])),
  },
  {
    kind: 'rules and boxes',
    text: fill(
      48,
      (below) => `${pick(below, ['─', '=', '-', '│ ', '╬', '*']).repeat(1 + below(70))}\n`,
    ),
  },
  { kind: 'one letter', text: fill(49, (below) => `${'a'.repeat(1 + below(200))} `) },
  { kind: 'capitals', text: sentences(ENGLISH.toUpperCase(), 50, '! ') },
  {
    kind: 'combining marks',
    text: fill(
      51,
      (below) =>
        `${pick(below, ['e\u0301', 'o\u0308', 'a\u030a\u0323', 'n\u0303'])}${pick(below, ['', ' ', 'x'])}`,
    ),
  },
  {
    kind: 'mathematics',
    text: fill(52, (below) =>
      pick(below, ['∀x∈ℝ: ', '∑ᵢ aᵢ² ≤ ', '√(π/2) ', '∂f/∂t = ', 'ℵ₀ ', '⟨ψ|φ⟩ → ', '≈ 3.14 ']),
    ),
  },
  {
    kind: 'escapes',
    text: fill(
      53,
      (below) => `\\u00${hex(below, 2)}\\n\\t\\"${name(below)}\\"\\\\${hex(below, 2)}`,
    ),
  },
  {
    kind: 'contractions',
    text: sentences("I'm we're they'll don't it's you've he'd CAN'T o'clock rock'n'roll", 54, '? '),
  },
  {
    kind: 'control characters',
    text: fill(
      55,
      (below) => String.fromCharCode(1 + below(31)) + pick(below, ['a', ' ', '\u007f', '\u200b']),
    ),
  },
];

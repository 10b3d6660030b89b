/** Strings that break things elsewhere, and endless more of their kind. */
import { createRandom, type Random } from '../../src/random.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const base64url = (text: string) => Buffer.from(text).toString('base64url');

/** One of each kind. */
export const HOSTILE_STRINGS: readonly string[] = [
  '',
  ' ',
  '\t\n\r',
  '\0',
  'a\0b',
  `${base64('ModelRun:')}\0`,
  '\u0001\u0002\u001f\u007f\u0085\u009f',
  '\ud800',
  '\udc00',
  'a\udfffb\ud800',
  '\ufffe\uffff\ufeff',
  '\u202e\u2066\u200f\u200b\u2028',
  '👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿',
  'e\u0301\u0301\u0301\u0301',
  'İıſẞ\u01c5',
  'x'.repeat(201),
  'x'.repeat(4001),
  'x'.repeat(10_001),
  'ß'.repeat(100_000),
  "' OR '1'='1",
  "'; DROP TABLE runs; --",
  '%_\\%',
  '$1 $2 {{x}} %s %n %x',
  '\\u0000 \\x00 \\',
  '../../../../etc/passwd',
  '/etc/passwd',
  '..',
  '.',
  'C:\\windows\\system32',
  'file:///etc/passwd',
  'http://127.0.0.1:9/',
  '//evil/..;/',
  '<script>alert(1)</script>',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'undefined',
  'NaN',
  '-1',
  '9'.repeat(400),
  '1e999',
  '00000000-0000-4000-8000-000000000000',
  '{"a":1}',
  '[]',
  '"',
  base64('ModelRun:00000000-0000-4000-8000-000000000000'),
  base64('Nothing:00000000-0000-4000-8000-000000000000'),
  base64('ModelRun:00000000-0000-4000-8000-00000000000'),
  base64("ModelRun:' or 1=1"),
  base64('ModelRun:\0'),
  base64('Concept:00000000-0000-4000-8000-000000000000').replace(/=*$/, '===='),
  '====',
  '!!!!',
  base64url('event:-1'),
  base64url('event:999999999999999'),
  base64url('event:1e9'),
  base64url('[]'),
  base64url('["runs:created_at,id","+275760-09-13T00:00:00.000Z","00000000-0000-4000-8000-000000000000"]'),
  base64url('["runs:created_at,id","-000001-01-01T00:00:00.000Z","00000000-0000-4000-8000-000000000000"]'),
  base64url('["ontologies:created_at,id","\0","\0"]'),
  base64url('["examples:position",9007199254740991]'),
  base64url('["facts:position",2147483648]'),
  base64url('["slots:index",1.5]'),
  base64url(`["runs:step,id",-2147483649,"00000000-0000-4000-8000-000000000000"]`),
  base64url(`${'['.repeat(1000)}${']'.repeat(1000)}`),
];

/** `count` of them, drawn by the seed: those above first, then mixtures and mutations of them. */
export function* hostileStrings(count: number, seed: number): Generator<string> {
  const random = createRandom(seed, 'hostile strings');
  for (let i = 0; i < count; i++) yield HOSTILE_STRINGS[i] ?? mutate(random);
}

function mutate(random: Random): string {
  const pick = () => HOSTILE_STRINGS[random.int(HOSTILE_STRINGS.length)]!.slice(0, 300);
  const given = pick();
  const at = random.int(given.length + 1);
  switch (random.int(5)) {
    case 0:
      return given.slice(0, at) + pick() + given.slice(at);
    case 1:
      return given.slice(0, at) + String.fromCharCode(random.int(0x1_00_00)) + given.slice(at + 1);
    case 2:
      return given.slice(at) + given.slice(0, at);
    case 3:
      return Array.from({ length: random.int(30) }, () => String.fromCodePoint(random.int(0x11_00_00))).join(
        '',
      );
    default:
      return base64url(given.slice(0, at) + pick());
  }
}

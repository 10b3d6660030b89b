import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../src/engine/contract/dataset.ts';
import { createJudge, NOT_JUDGED, note } from '../../../src/engine/edits/judge.ts';

const [CITY, DATE] = [0, 1];
const facts: Fact[] = [
  { entity: 'fay', concept: CITY, value: 'New York' },
  { entity: 'guy', concept: CITY, value: 'Paris' },
  { entity: 'guy', concept: DATE, value: '14 March 1987' },
];
const asked = { target: CITY, expected: ['New York'] };

describe('the answer to a swap', () => {
  const judge = createJudge({ prompting: null }, facts);

  test.each([
    ['new york', { whole: true, loose: true, category: true }],
    ['york', { whole: false, loose: true, category: false }],
    ['new york state', { whole: false, loose: true, category: false }],
    ['Paris', { whole: false, loose: false, category: true }], // another's
    ['14 march 1987', { whole: false, loose: false, category: false }], // of another concept
    ['london', { whole: false, loose: false, category: false }],
    ['', { whole: false, loose: false, category: false }], // no part of everything
  ])('%j', (answer, verdict) => {
    expect(judge(answer, asked)).toEqual(verdict);
  });

  test('is a date however it is written, and loosely too', () => {
    const date = { target: DATE, expected: ['14 March 1987'] };
    expect(judge('1987-03-14', date)).toEqual({ whole: true, loose: true, category: true });
    expect(judge('1987', date)).toEqual({ whole: false, loose: true, category: false });
  });

  test('may go on behind what ends an answer', () => {
    const prompting = { prefix: null, answerEnd: '.', alone: null } as never;
    expect(createJudge({ prompting }, facts)('Paris. He', asked)).toMatchObject({ category: true });
    expect(judge('Paris. He', asked)).toMatchObject({ category: false });
  });

  test('tells letter case apart where the dataset does, but for the looser match', () => {
    const prompting = { prefix: null, answerEnd: '.', letterCase: true, alone: null } as never;
    const cased = createJudge({ prompting }, facts);
    const verdict = cased('PARIS.', asked);
    expect(judge('PARIS', asked)).toMatchObject({ category: true });
    expect(verdict).toMatchObject({ category: false });
    const shouted = { ...asked, expected: ['YORK'] };
    expect(cased('york.', shouted)).toMatchObject({ whole: false, loose: true });
    expect(cased('YORK.', shouted)).toMatchObject({ whole: true });
  });

  test('is counted: category among failures alone', () => {
    const counts = { ...NOT_JUDGED };
    for (const answer of ['new york', 'york', 'paris', 'london']) note(counts, judge(answer, asked));
    expect(counts).toEqual({ trials: 4, successes: 1, looseSuccesses: 2, categoryKept: 1 });
  });
});

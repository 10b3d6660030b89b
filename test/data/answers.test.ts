import { describe, expect, it } from 'vitest';
import { isAnswer, normalizeAnswer, sameAnswer } from '../../src/data/answers.ts';

describe('sameAnswer', () => {
  it.each([
    ['Oslo', ' oslo '],
    ['Computer Science', 'computer  science'],
    ["O'Neil & Sons", "o ' neil & sons"],
    ['Malmö', 'malmo\u0308'],
    ['March 14 1987', 'march 14 1987'],
    ['March 14, 1987', '14 march 1987'],
    ['1987-03-14', 'Mar 14 1987'],
    ['May 3 1990', 'may 03 1990'],
  ])('%j is %j', (a, b) => {
    expect(sameAnswer(a, b)).toBe(true);
  });

  it.each([
    ['Oslo', 'Oslo University'],
    ['Ashgrove University', 'Ashgrove'],
    ['March 14 1987', 'March 14 1988'],
    ['March 14 1987', 'May 14 1987'],
    ['March 14 1987', 'March 14'],
    ['March 4 1987', 'March 14 1987'],
    ['', 'Oslo'],
  ])('%j is not %j', (a, b) => {
    expect(sameAnswer(a, b)).toBe(false);
  });

  it('leaves what only looks like a date as text', () => {
    expect(normalizeAnswer('March 44 1987')).toBe('march 44 1987');
    expect(normalizeAnswer('1987-13-01')).toBe('1987 - 13 - 01');
    expect(normalizeAnswer('14 March 1987')).toBe('1987-03-14');
  });
});

describe('isAnswer', () => {
  it.each([
    ['Pashto', null],
    [' dari ', null],
    ['Dari. The language of', '.'],
    ['St. Ives. Next', '.'],
    ['Dari\nThe', '\n'],
  ])('%j says one of those accepted (end %j)', (text, end) => {
    expect(isAnswer(text, ['Dari', 'Pashto', 'St. Ives'], { answerEnd: end })).toBe(true);
  });

  it.each([
    ['Dari.', null],
    ['Dari and more', '.'],
    ['Darius. Dari', '.'],
    ['St', '.'],
    ['Turkmen', null],
    ['', '.'],
  ])('%j does not (end %j)', (text, end) => {
    expect(isAnswer(text, ['Dari', 'Pashto', 'St. Ives'], { answerEnd: end })).toBe(false);
  });

  it('tells letter case apart where that is asked for, but not in the names of months', () => {
    const rules = { answerEnd: '.', letterCase: true };
    expect(isAnswer('RAISE. The', ['RAISE'], rules)).toBe(true);
    expect(isAnswer('raise. The', ['RAISE'], rules)).toBe(false);
    expect(isAnswer('raise. The', ['RAISE'], { answerEnd: '.' })).toBe(true);
    expect(isAnswer('march 14 1987', ['14 March 1987'], rules)).toBe(true);
  });
});

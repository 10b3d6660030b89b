import { describe, expect, it } from 'vitest';
import type { CapturedPrompt } from '../../../src/engine/align/captured.ts';
import type { Fact } from '../../../src/engine/contract/dataset.ts';
import { drawTrials } from '../../../src/engine/edits/trials.ts';

const [LANGUAGE, DEMONYM, NEIGHBOUR] = [0, 1, 2];
const fact = (concept: number, value: string): Fact => ({ entity: 'x', concept, value });
const prompt = (concept: number, answer: string, otherAnswers?: string[]): CapturedPrompt => ({
  ...{ id: `p${concept}`, prompt: `of x ${concept}`, entity: 'x', concepts: [concept], template: '' },
  ...{ split: 'TRAIN', h: new Float32Array(1), answer, ...(otherAnswers && { otherAnswers }) },
});
const draw = (prompts: CapturedPrompt[], facts: Fact[]) =>
  drawTrials(prompts, facts, { count: 10, seed: 0, stream: 's' }).map(({ source, target, expected }) => ({
    ...{ source, target, expected },
  }));

describe('drawTrials', () => {
  it('accepts any of several values, and leaves out swaps whose answers may coincide', () => {
    const facts = [fact(NEIGHBOUR, 'Peru'), fact(NEIGHBOUR, 'Chile'), fact(DEMONYM, 'Dari')];
    const alike = prompt(LANGUAGE, 'Pashto', ['Dari']);
    expect(draw([alike], facts)).toEqual([
      { source: LANGUAGE, target: NEIGHBOUR, expected: ['Peru', 'Chile'] },
    ]);
    const apart = prompt(LANGUAGE, 'Pashto');
    expect(draw([apart], facts)).toHaveLength(2);
  });
});

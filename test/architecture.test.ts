import { cruise } from 'dependency-cruiser';
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';
import { describe, expect, it } from 'vitest';

describe('the house', () => {
  it('keeps its walls: who may import whom, and no circles', async () => {
    const { forbidden, options } = await extractConfig('./.dependency-cruiser.cjs');
    const { output } = await cruise(['src'], { ...options, validate: true, ruleSet: { forbidden } });
    const { summary } = output as {
      summary: { totalCruised: number; violations: { rule: { name: string }; from: string; to: string }[] };
    };
    expect(summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);
    expect(summary.totalCruised).toBeGreaterThan(200);
  });
});

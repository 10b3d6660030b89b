/** What the paper's authors measure, beside ours: tables over all seeds. */
import { alignedBy } from './cells.ts';
import { markdown, pooled, type Rate, type Row, share, show } from './markdown.ts';
import { type Alignment, type AlignmentSwaps, PRESETS, type SeedStudy } from './study.ts';

export function measureTable(seeds: readonly SeedStudy[]): string {
  const rows = PRESETS.map((preset): Row => {
    const all = alignedBy(seeds, preset).map(({ alignment }) => alignment);
    const swaps = all.flatMap((alignment) => alignment.swaps.filter(isReported));
    const mean = (of: (binding: Alignment['binding']) => number | null, digits: number) => {
      const values = all.flatMap(({ binding }) => of(binding) ?? []);
      return values.length > 0 ? (values.reduce((a, b) => a + b, 0) / values.length).toFixed(digits) : '–';
    };
    return [
      ...[preset, show(pooled(swaps)), show(pooledOf(swaps, 'loose')), show(pooledOf(swaps, 'categoryKept'))],
      `${mean((binding) => binding.effFeat, 1)} / ${mean((binding) => binding.slotEffFeat, 2)}`,
      `${mean((binding) => binding.top1Conc, 3)} / ${mean((binding) => binding.slotTop1Conc, 3)}`,
      mean((binding) => binding.slotMargin, 2),
    ];
  });
  const head = ['preset', 'whole answers', 'a part', 'category kept', 'EffFeat, all latents / slots'];
  return markdown([...head, 'Top1Conc, all latents / slots', 'slot margin'], ...rows);
}

const isReported = ({ control, population, split }: AlignmentSwaps) =>
  control === 'CONCEPT' && population === 'UNSEEN' && split === 'TEST_OOD';

function pooledOf(swaps: readonly AlignmentSwaps[], measure: 'loose' | 'categoryKept'): Rate {
  return pooled(swaps.flatMap((swap) => swap[measure] ?? []));
}

/** By concept: out, of its own answers and of the others'; in, of its own answers where others are asked, and of those. */
export function slotTable(seeds: readonly SeedStudy[]): string {
  const knocks = seeds.flatMap(({ alignments }) => alignments.COUNTERFACTUAL.knocks);
  const keys = [...new Set(knocks.map(({ concept }) => concept.key))];
  const mean = (values: readonly (number | null)[]) => {
    const known = values.filter((value) => value !== null);
    return known.length > 0 ? (known.reduce((a, b) => a + b, 0) / known.length).toFixed(2) : '–';
  };
  const rows = keys.map((key): Row => {
    const of = (edit: 'KNOCK_IN' | 'KNOCK_OUT') =>
      knocks.filter((knock) => knock.edit === edit && knock.concept.key === key);
    const others = (edit: 'KNOCK_IN' | 'KNOCK_OUT', isOwn: boolean) =>
      mean(
        of(edit).flatMap((knock) =>
          knock.others.filter(({ concept }) => (concept.key === key) === isOwn).map(({ change }) => change),
        ),
      );
    const asked = (edit: 'KNOCK_IN' | 'KNOCK_OUT') => mean(of(edit).map((knock) => knock.asked.change));
    return [
      ...[key, asked('KNOCK_OUT'), others('KNOCK_OUT', false)],
      ...[others('KNOCK_IN', true), asked('KNOCK_IN')],
    ];
  });
  const accuracy = share(pooledBinding(seeds));
  return `${markdown(
    [
      ...['slot', 'set to 0: its answers', 'values of other concepts'],
      ...['set to 1 where another is asked: its values', 'the answers asked for'],
    ],
    ...rows,
  )}\n\nBinding of these slots on held-out phrasings: ${accuracy}.`;
}

function pooledBinding(seeds: readonly SeedStudy[]): number {
  const all = seeds.map(({ alignments }) => alignments.COUNTERFACTUAL.binding);
  const examples = all.reduce((sum, binding) => sum + binding.examples, 0);
  return all.reduce((sum, binding) => sum + binding.accuracy * binding.examples, 0) / examples;
}

/** The first table of one hop: what was aimed at and what was reached. */
import { alignedBy, allTexts, best, bestPooled, chosenCell, swapsOf } from './cells.ts';
import type { Layers } from './layers.ts';
import { markdown, pooled, share, show } from './markdown.ts';
import { type Alignment, PRESETS, type SeedStudy } from './study.ts';

export function summary({ seeds, layers }: { seeds: readonly SeedStudy[]; layers: Layers }): string {
  const paper = bestPooled(seeds, 'PAPER', [1.5, 2, 2.5]);
  const random = pooled(
    PRESETS.flatMap((p) => alignedBy(seeds, p).map(({ alignment }) => swapsOf(alignment, 'RANDOM_LATENT'))),
  );
  const isolation = seeds.map((s) => chosenCell(s, 'COUNTERFACTUAL'));
  const unsupervised = Math.max(
    ...seeds.map(
      (s) =>
        best(s.sweeps.COUNTERFACTUAL.controls, 'UNSUPERVISED_LATENT', 'LATENT_DECODE')?.success.value ?? 0,
    ),
  );
  const ours = Math.min(...isolation.map((cell) => cell.success.value!));
  const bindings = layers.bindingByLayer.filter(({ seed }) => seed !== null);
  const swaps = layers.swapSuccessByLayer
    .filter(({ seed }) => seed !== null)
    .map(({ rate }) => rate.value ?? 0);
  const speed = Math.max(...seeds.map((s) => s.sweeps.COUNTERFACTUAL.editsPerSecond));
  const pairs = pooled(seeds.map((s) => s.withheld.pairs.success));
  const targets = pooled(seeds.map((s) => s.withheld.target.cell.success));
  const swapsOfAll = (of: (study: SeedStudy) => Alignment) => {
    const rates = seeds.map((s) => swapsOf(of(s), 'CONCEPT'));
    return { mean: show(pooled(rates)), worst: share(Math.min(...rates.map(({ value }) => value ?? 0))) };
  };
  const counterfactual = swapsOfAll((s) => s.alignments.COUNTERFACTUAL);
  const plain = swapsOfAll((s) => s.plain.alignments.COUNTERFACTUAL);
  const quiet = swapsOfAll((s) => s.quiet.alignment);
  return markdown(
    ['what', 'aim', 'reached'],
    ['swaps, unseen people, COUNTERFACTUAL, mean of seeds', '≥ .96', counterfactual.mean],
    ['the same, worst seed', '≥ .93', counterfactual.worst],
    [
      'by seed (true activation there, the ceiling at alpha 1)',
      'shown',
      seeds
        .map((s) => `${share(swapsOf(s.alignments.COUNTERFACTUAL, 'CONCEPT').value)} (${ceiling(s)})`)
        .join('; '),
    ],
    [
      'swaps, unseen people, PAPER, best alpha of 1.5 to 2.5',
      '≥ .90',
      `${show(paper.success)} at ${paper.alpha}`,
    ],
    ['on plain blocks, COUNTERFACTUAL: mean; worst seed', 'shown', `${plain.mean}; ${plain.worst}`],
    ['withheld (person, target) pairs', '≥ .80', show(pairs)],
    ['withheld target concepts', '≥ .80', show(targets)],
    ['isolation, prompts about other concepts', '≥ .98', show(pooled(isolation.map((c) => c.otherPrompts)))],
    [
      'isolation, texts that state nothing of the source',
      '≥ .97',
      show(pooled(isolation.map((c) => c.texts))),
    ],
    [
      'isolation with more silence: other prompts; texts',
      '≥ .98; ≥ .97',
      `${show(pooled(seeds.map(({ quiet }) => quiet.cell.otherPrompts)))}; ${show(pooled(seeds.map(({ quiet }) => quiet.cell.texts)))}`,
    ],
    [
      'swaps, unseen people, with more silence: mean; worst seed',
      'no lower',
      `${quiet.mean}; ${quiet.worst}`,
    ],
    ['isolation, all texts', 'shown', share(allTexts(isolation))],
    ['random latents', '≤ .02', show(random)],
    [
      'unsupervised SAE, same method, best alpha, best seed, against our worst seed',
      '≤ ¼',
      `${share(unsupervised)} / ${share(ours)}`,
    ],
    [
      'binding by layer, first → best',
      '≤ .30 → ≥ .99',
      `${share(bindings[0]!.rate.value)} → ${share(Math.max(...bindings.map(({ rate }) => rate.value ?? 0)))}`,
    ],
    ['swaps by layer, best less worst', '≥ .81', share(Math.max(...swaps) - Math.min(...swaps))],
    ['edits a second in a sweep', '≥ 4,000', Math.round(speed).toLocaleString('en')],
  );
}

function ceiling({ sweeps }: SeedStudy): string {
  const found = sweeps.COUNTERFACTUAL.controls.find(({ kind }) => kind === 'TRUE_ACTIVATION');
  return share(found?.success.value);
}

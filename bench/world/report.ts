/** What was measured of the model's knowledge, as Markdown. */

import type { Study } from './study.ts';
import type { Figure } from './swaps.ts';

export interface KeptStudy extends Study {
  name: string;
}

const EDITED: Record<string, string> = {
  CONCEPT: 'slots',
  MEAN_DIFFERENCE: 'mean difference, α 1.5',
  TRUE_ACTIVATION: 'true activation',
  SUM: 'sum of entity and concept',
};

export function renderWorld(all: readonly KeptStudy[], shares: Record<string, number>): string {
  const seeds = all.filter(({ name }) => name.startsWith('seed-'));
  const layers = all.filter(({ name }) => name.startsWith('layer-'));
  const known = Object.entries(shares).map(([relation, share]) => `${relation} ${rate(share)}`);
  const first = seeds[0];
  return [
    '## What a real language model knows',
    `SmolLM2-135M-Instruct behind a few-shot prefix; facts of countries that it answers right unedited: ${known.join(', ')}. Whole answers; α at the last prompt token as chosen on validation countries, 1 at later tokens.`,
    table(
      [
        'seed',
        'countries (seen / validation / unseen)',
        'α',
        'binding, known / held-out phrasings',
        'isolation',
        'tokens of text where a slot fires',
        'sinks left out',
        'minutes',
      ],
      seeds.map((study) => [
        study.seed,
        `${study.entities.SEEN} / ${study.entities.VALIDATION} / ${study.entities.UNSEEN}`,
        study.swaps.alpha,
        `${rate(study.binding.TRAIN)} / ${rate(study.binding.TEST_OOD)}`,
        `${study.swaps.isolation.kept} of ${study.swaps.isolation.asked}`,
        `${rate(study.texts.firing / study.texts.tokens, 4)} of ${study.texts.tokens}`,
        study.sinks,
        Math.round(study.seconds / 60),
      ]),
    ),
    '### Swaps on unseen countries',
    table(
      ['edit', 'at', ...seeds.flatMap(({ seed }) => [`seed ${seed}`, 'held-out phrasings'])],
      (first?.swaps.reported ?? [])
        .filter(({ split }) => split === 'TRAIN')
        .map((figure) => [
          EDITED[figure.edited] ?? figure.edited,
          figure.placement,
          ...seeds.flatMap(({ swaps }) =>
            (['TRAIN', 'TEST_OOD'] as const).map((split) => figureOf(swaps.reported, { ...figure, split })),
          ),
        ]),
    ),
    ...(layers.length === 0 ? [] : ['### By layer', byLayer([...layers, ...seeds.slice(0, 1)])]),
  ].join('\n\n');
}

/** α × layer on validation countries, with binding and success on unseen ones. */
function byLayer(studies: readonly KeptStudy[]): string {
  const layerOf = ({ settings }: KeptStudy) => settings.layer ?? 0;
  const ordered = [...studies].sort((a, b) => layerOf(a) - layerOf(b));
  const alphas = ordered[0]!.swaps.choosing.map(({ alpha }) => alpha);
  return table(
    ['layer', 'binding, held-out phrasings', ...alphas.map((alpha) => `α ${alpha}`), 'unseen countries'],
    ordered.map((study) => [
      layerOf(study),
      rate(study.binding.TEST_OOD),
      ...study.swaps.choosing.map(shareOf),
      figureOf(study.swaps.reported, { split: 'TRAIN', edited: 'CONCEPT', placement: 'ANSWER' }),
    ]),
  );
}

function figureOf(
  figures: readonly Figure[],
  { split, edited, placement }: Pick<Figure, 'split' | 'edited' | 'placement'>,
): string {
  const own = figures.find(
    (figure) => figure.split === split && figure.edited === edited && figure.placement === placement,
  );
  return own ? shareOf(own) : '–';
}

function shareOf({ successes, trials }: Figure): string {
  return trials === 0 ? '–' : `${rate(successes / trials)} (${trials})`;
}

function rate(value: number, digits = 3): string {
  return value.toFixed(digits);
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

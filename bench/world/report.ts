/** What was measured of the model's knowledge, as Markdown. */

import type { Study } from './study.ts';
import type { Figure } from './swaps.ts';

export interface KeptStudy extends Study {
  name: string;
}

/** What the studies were of, beside them. */
export interface Known {
  /** Such as "countries". */
  entities: string;
  /** By relation, the share of facts that the model knows. */
  shares: Record<string, number>;
}

const EDITED: Record<string, string> = {
  CONCEPT: 'slots',
  MEAN_DIFFERENCE: 'mean difference, α 1.5',
  TRUE_ACTIVATION: 'true activation',
  SUM: 'sum of entity and concept',
};
const AT: Record<string, string> = {
  LAST_TOKEN: 'last prompt token',
  ANSWER: 'every token of the answer',
  ARMED: 'armed',
};
const SPLITS = ['TRAIN', 'TEST_OOD'] as const;

export function renderWorld(all: readonly KeptStudy[], { entities, shares }: Known): string {
  const named = (kind: string) => all.filter(({ name }) => name.startsWith(`${kind}-`));
  const known = Object.entries(shares).map(([relation, share]) => `${relation} ${rate(share)}`);
  const section = (title: string, studies: readonly KeptStudy[]) =>
    studies.length === 0 ? [] : [`### ${title}`, alignments(studies, entities), swaps(studies)];
  const layers = named('layer');
  return [
    `## What a real language model knows: ${entities}`,
    `SmolLM2-135M-Instruct behind a few-shot prefix; facts of ${entities} that it answers right unedited: ${known.join(', ')}. Whole answers; α at the last prompt token as chosen on validation ${entities}, 1 at later tokens.`,
    ...section('COUNTERFACTUAL', named('seed')),
    ...section('PAPER', named('paper')),
    ...(layers.length === 0 ? [] : ['### By layer', byLayer(layers, entities)]),
  ].join('\n\n');
}

/** An alignment a row. */
function alignments(studies: readonly KeptStudy[], entities: string): string {
  return table(
    [
      ...['seed', `${entities} (seen / validation / unseen)`, 'α', 'binding, known / held-out phrasings'],
      ...['isolation', 'tokens of text where a slot fires', 'sinks left out', 'minutes'],
    ],
    studies.map(({ seed, entities, swaps: { alpha, isolation }, binding, texts, sinks, seconds }) => [
      ...[seed, `${entities.SEEN} / ${entities.VALIDATION} / ${entities.UNSEEN}`, alpha],
      `${rate(binding.TRAIN)} / ${rate(binding.TEST_OOD)}`,
      isolation.asked === 0 ? '–' : `${isolation.kept} of ${isolation.asked}`,
      `${rate(texts.firing / texts.tokens, 4)} of ${texts.tokens}`,
      ...[sinks, minutes(seconds)],
    ]),
  );
}

/** An edit a row: the mean of the seeds, the worst of them, and each. */
function swaps(studies: readonly KeptStudy[]): string {
  const figures = studies[0]!.swaps.reported.filter(({ split }) => split === 'TRAIN');
  return table(
    ['edit', 'at', ...['known', 'held-out'].flatMap((kind) => [`${kind} phrasings: mean (worst)`, 'seeds'])],
    figures.map(({ edited, placement }) => [
      ...[EDITED[edited] ?? edited, AT[placement] ?? placement],
      ...SPLITS.flatMap((split) => {
        const own = studies.map(({ swaps }) => shareOf(find(swaps.reported, { edited, placement, split })));
        return [`${short(mean(own))} (${short(Math.min(...own))})`, own.map(short).join(' ')];
      }),
    ]),
  );
}

/** α × layer on validation entities, and binding and success beside controls on unseen ones. */
function byLayer(studies: readonly KeptStudy[], entities: string): string {
  const layerOf = ({ settings }: KeptStudy) => settings.layer ?? 0;
  const ordered = [...studies].sort((a, b) => layerOf(a) - layerOf(b));
  const alphas = ordered[0]!.swaps.choosing.map(({ alpha }) => alpha);
  const edits = ['CONCEPT', 'MEAN_DIFFERENCE', 'TRUE_ACTIVATION'];
  return table(
    [
      ...['layer', 'binding, known / held-out phrasings'],
      ...alphas.map((alpha) => `α ${alpha}`),
      ...edits.map((edited, i) => `${i === 0 ? `unseen ${entities}: ` : ''}${EDITED[edited]}`),
    ],
    ordered.map((study) => [
      layerOf(study),
      `${short(study.binding.TRAIN)} / ${short(study.binding.TEST_OOD)}`,
      ...study.swaps.choosing.map((figure) => short(shareOf(figure))),
      ...edits.map((edited) =>
        short(shareOf(find(study.swaps.reported, { split: 'TRAIN', edited, placement: 'ANSWER' }))),
      ),
    ]),
  );
}

function find(
  figures: readonly Figure[],
  { split, edited, placement }: Pick<Figure, 'split' | 'edited' | 'placement'>,
): Figure | undefined {
  return figures.find(
    (figure) => figure.split === split && figure.edited === edited && figure.placement === placement,
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** NaN where nothing was tried. */
function shareOf(figure: Figure | undefined): number {
  return figure ? figure.successes / figure.trials : Number.NaN;
}

function minutes(seconds: Study['seconds']): number {
  return Math.round(Object.values(seconds).reduce((sum, part) => sum + part, 0) / 60);
}

function rate(value: number, digits = 3): string {
  return value.toFixed(digits);
}

/** As in the tables by hand: `.904`. */
function short(value: number): string {
  return Number.isNaN(value) ? '–' : rate(value).replace(/^0/, '');
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The two-hop part of the report, from what was measured. */
import { markdown, pooled, type Row, share, show } from './markdown.ts';
import type { HopSwap, Point, TwoHopStudy } from './twoHop.ts';

export function renderTwoHop(studies: readonly TwoHopStudy[]): string {
  const generated = studies.filter(({ recipe }) => recipe === 'RELATIONS');
  const published = studies.filter(({ recipe }) => recipe === 'PUBLISHED');
  return [
    '## Two hops',
    'Questions are answered `E2 E3`. A grokking run trains a model and aligns an SAE at each hop of it, untrained and trained, and a hop-swap run edits those of the trained one. Held-out questions are compositions never asked in training, of facts that it shows; of the published data its own validation split. Each swap method keeps the alpha that does best on training questions, and everything here is of held-out ones; *withheld* are pairs of entity and relation to which no counterfactual of the SAE led. `RELATIONS` is generated data, `PUBLISHED` the authors’ files; both have a first block without MLP, and edits at the relation’s own token and where the hop’s answer is predicted, on seeds that chose nothing. The true activation and the sum are the ceilings of any edit at these tokens, and of one column a relation.',
    summary(generated, published),
    '### By seed',
    seedTable(studies),
    ...studies
      .filter((study, i) => studies.findIndex(({ recipe }) => recipe === study.recipe) === i)
      .flatMap((study) => [
        `### ${study.recipe}, seed ${study.seed}`,
        `\`\`\`json\n${JSON.stringify(study.settings)}\n\`\`\``,
        'Binding top-1, diagonal strength, and accuracy lost when the slots are set to 0: hops 1 / 2.',
        pointTable(study.grokking.points),
        'Swaps of the trained model:',
        swapTable(study.swaps.results),
      ]),
  ].join('\n\n');
}

function summary(generated: readonly TwoHopStudy[], published: readonly TwoHopStudy[]): string {
  const rows: Row[] = [];
  if (generated.length > 0) {
    rows.push(['held-out questions, all seeds', '≥ .95', show(heldOutOf(generated))]);
    for (const hop of [1, 2])
      rows.push(
        [
          `swaps at hop ${hop}, withheld pairs, all seeds`,
          '≥ .85',
          show(withheldOf(generated, 'slots', hop)),
        ],
        [
          'the same by seed',
          '≥ .75',
          list(generated, (study) => share(hopOf(study, hop).slots.withheld.value)),
        ],
        ['true activation; sum; mean difference, all seeds', 'shown', ceilings(generated, hop)],
        ['unsupervised latents there, all seeds', '', show(withheldOf(generated, 'unsupervised', hop))],
      );
    rows.push(['binding top-1, hops 1 / 2', '≥ .99', list(generated, (s) => hopsOf(s, -1, 'top1'))]);
  }
  if (published.length > 0)
    rows.push(
      ['published data: held-out questions', '≥ .90', show(heldOutOf(published))],
      ['binding top-1, hops 1 / 2', '≥ .99', list(published, (study) => hopsOf(study, -1, 'top1'))],
      [
        'swaps, withheld pairs',
        'hop 1 ≥ .60',
        `${show(withheldOf(published, 'slots', 1))} at hop 1; ${show(withheldOf(published, 'slots', 2))} at hop 2`,
      ],
      ['unsupervised latents there', '', show(withheldOf(published, 'unsupervised', 2))],
      ['minutes, with swaps', '≤ 30', list(published, (study) => minutes(study.grokking, study.swaps))],
    );
  return markdown(['what', 'aim', 'reached'], ...rows);
}

function seedTable(studies: readonly TwoHopStudy[]): string {
  const rows = studies.map((study): Row => {
    const two = hopOf(study, 2);
    const random = best(study, 'RANDOM_LATENT');
    return [
      ...[study.recipe, study.seed, show(study.grokking.points.at(-1)!.heldOut)],
      ...[hopsOf(study, 0, 'top1'), hopsOf(study, -1, 'top1')],
      `${show(two.slots.withheld)} (${two.slots.method} ${two.slots.alpha})`,
      `${show(two.unsupervised.withheld)} (${two.unsupervised.method} ${two.unsupervised.alpha})`,
      ...[ratioText(two.ratio), share(random), share(hopOf(study, 1).slots.withheld.value)],
      `${minutesOf(study)} + ${minutes(study.swaps)}`,
    ];
  });
  const head = [
    ...['recipe', 'seed', 'held-out'],
    ...['top-1 untrained', 'top-1 trained', 'swaps at hop 2, withheld', 'unsupervised', 'ratio'],
    ...['random latents, most', 'slots at hop 1, withheld', 'minutes, swaps'],
  ];
  return markdown(head, ...rows);
}

function pointTable(points: readonly Point[]): string {
  const hops = (point: Point, key: 'top1' | 'diagonalStrength' | 'ablationEffect') =>
    point.binding.map((hop) => share(hop[key])).join(' / ');
  const rows = points.map(
    (point): Row => [
      ...[point.step, share(point.trainAccuracy), share(point.heldOutAccuracy), share(point.oneHopAccuracy)],
      ...[point.loss.toFixed(4), point.weightNorm.toFixed(1), point.logitMargin.toFixed(2)],
      ...[hops(point, 'top1'), hops(point, 'diagonalStrength'), hops(point, 'ablationEffect')],
    ],
  );
  const head = [
    ...['step', 'train', 'held-out', 'one-hop', 'loss', '‖w‖', 'logit margin'],
    ...['top-1', 'diagonal', 'ablation'],
  ];
  return markdown(head, ...rows);
}

function swapTable(results: readonly HopSwap[]): string {
  const rows = results.map(
    ({ hop, edited, method, alpha, shown, withheld, isolation }): Row => [
      ...[hop, edited, method, alpha, show(shown), show(withheld), share(isolation.value)],
    ],
  );
  return markdown(
    ['hop', 'edited', 'method', 'alpha', 'shown pairs', 'withheld pairs', 'isolation'],
    ...rows,
  );
}

const list = (studies: readonly TwoHopStudy[], of: (study: TwoHopStudy) => string) =>
  studies.map(of).join('; ');

const hopOf = ({ swaps }: TwoHopStudy, hop: number) => swaps.hops.find((each) => each.hop === hop)!;

function hopsOf({ grokking }: TwoHopStudy, at: number, key: 'top1' | 'diagonalStrength'): string {
  return grokking.points
    .at(at)!
    .binding.map((hop) => share(hop[key]))
    .join(' / ');
}

const heldOutOf = (studies: readonly TwoHopStudy[]) =>
  pooled(studies.map(({ grokking }) => grokking.points.at(-1)!.heldOut));

const withheldOf = (studies: readonly TwoHopStudy[], who: 'slots' | 'unsupervised', hop: number) =>
  pooled(studies.map((study) => hopOf(study, hop)[who].withheld));

function ceilings(studies: readonly TwoHopStudy[], hop: number): string {
  const of = (edited: string) =>
    pooled(
      studies.flatMap(({ swaps }) =>
        swaps.results.filter((one) => one.hop === hop && one.edited === edited).map((one) => one.withheld),
      ),
    );
  return ['TRUE_ACTIVATION', 'SUM', 'MEAN_DIFFERENCE'].map((edited) => share(of(edited).value)).join('; ');
}

function best({ swaps }: TwoHopStudy, edited: string): number {
  const rates = swaps.results.filter((each) => each.hop === 2 && each.edited === edited);
  return Math.max(...rates.map(({ withheld }) => withheld.value ?? 0));
}

const ratioText = (ratio: number | null) => ratio?.toFixed(2) ?? '–';
const minutesOf = ({ grokking }: TwoHopStudy) => minutes(grokking);

function minutes(...runs: readonly { startedAt: string; finishedAt: string }[]): string {
  const ms = runs.reduce((sum, run) => sum + Date.parse(run.finishedAt) - Date.parse(run.startedAt), 0);
  return (ms / 60_000).toFixed(1);
}

/** The two-hop part of the report, from what was measured. */
import { markdown, pooled, type Row, share, show } from './markdown.ts';
import type { HopSwap, Point, TwoHopStudy } from './twoHop.ts';

export function renderTwoHop(studies: readonly TwoHopStudy[]): string {
  const generated = studies.filter(({ recipe }) => recipe === 'RELATIONS');
  const published = studies.filter(({ recipe }) => recipe === 'PUBLISHED');
  return [
    '## Two hops',
    'Questions are answered `E2 E3`. A grokking run trains a model and aligns an SAE at each hop of it, untrained and trained, and a hop-swap run edits those of the trained one. Held-out questions are compositions never asked in training, of facts that it shows; of the published data its own validation split. Each swap method keeps the alpha that does best on training questions, and everything here is of held-out ones; *withheld* are pairs of entity and relation to which no counterfactual of the SAE led. `RELATIONS` is generated data, `PUBLISHED` the authors’ files; both have a first block without MLP, and edits at the relation’s own token and where the hop’s answer is predicted, on seeds that chose nothing. The true activation and the sum are the ceilings of any edit at these tokens, and of one column a relation.',
    `Seeds measured so far: \`RELATIONS\` ${seedsOf(generated)} (of five), \`PUBLISHED\` ${seedsOf(published)}.`,
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
        ...besides(generated, hop),
      );
    rows.push(['binding top-1, hops 1 / 2', '≥ .99', list(generated, (s) => hopsOf(s, -1, 'top1'))]);
  }
  if (published.length > 0) {
    rows.push(
      ['published data: held-out questions', '≥ .90', show(heldOutOf(published))],
      ['binding top-1, hops 1 / 2', '≥ .99', list(published, (study) => hopsOf(study, -1, 'top1'))],
    );
    for (const hop of [1, 2])
      rows.push(
        [
          `swaps at hop ${hop}, withheld pairs`,
          hop === 1 ? '≥ .60' : 'shown',
          show(withheldOf(published, 'slots', hop)),
        ],
        ...besides(published, hop),
      );
    rows.push([
      'minutes, with swaps',
      '≤ 30, quiet',
      list(published, (study) => minutes(study.grokking, study.swaps)),
    ]);
  }
  return markdown(['what', 'aim', 'reached'], ...rows);
}

/** What stands beside a hop's swaps. */
function besides(studies: readonly TwoHopStudy[], hop: number): Row[] {
  return [
    ['true activation; sum; mean difference there', 'shown', ceilings(studies, hop)],
    ['unsupervised latents there', 'shown', show(withheldOf(studies, 'unsupervised', hop))],
  ];
}

function seedTable(studies: readonly TwoHopStudy[]): string {
  const at = (study: TwoHopStudy, hop: number): Row => {
    const { slots, unsupervised, ratio } = hopOf(study, hop);
    const told = ({ withheld, method, alpha }: HopSwap) => `${show(withheld)} (${method} ${alpha})`;
    return [told(slots), told(unsupervised), ratio?.toFixed(2) ?? '–'];
  };
  const rows = studies.map(
    (study): Row => [
      ...[study.recipe, study.seed, show(study.grokking.points.at(-1)!.heldOut)],
      ...[hopsOf(study, 0, 'top1'), hopsOf(study, -1, 'top1')],
      ...[...at(study, 1), ...at(study, 2), share(best(study, 'RANDOM_LATENT'))],
      `${minutes(study.grokking)} + ${minutes(study.swaps)}`,
    ],
  );
  const head = [
    ...['recipe', 'seed', 'held-out', 'top-1 untrained', 'top-1 trained'],
    ...[
      'swaps at hop 1, withheld',
      'unsupervised',
      'ratio',
      'swaps at hop 2, withheld',
      'unsupervised',
      'ratio',
    ],
    ...['random latents, most', 'minutes, swaps'],
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

const seedsOf = (studies: readonly TwoHopStudy[]) =>
  studies.length > 0 ? studies.map(({ seed }) => seed).join(', ') : 'none';

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

/** At either hop. */
function best({ swaps }: TwoHopStudy, edited: string): number {
  const rates = swaps.results.filter((each) => each.edited === edited);
  return Math.max(...rates.map(({ withheld }) => withheld.value ?? 0));
}

function minutes(...runs: readonly { startedAt: string; finishedAt: string }[]): string {
  const ms = runs.reduce((sum, run) => sum + Date.parse(run.finishedAt) - Date.parse(run.startedAt), 0);
  return (ms / 60_000).toFixed(1);
}

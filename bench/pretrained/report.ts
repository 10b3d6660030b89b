/** The comparison as Markdown. */
import { markdown, pooled, type Row, share, show } from '../results/markdown.ts';
import type { Compared, Comparison } from './study.ts';

export function renderComparison({ pretraining, settings, all }: Comparison, machine: string): string {
  const { nFree, k, layer, steps } = settings;
  const { seconds, rows } = pretraining;
  const row = (name: string, of: (compared: Compared) => string | number): Row => [name, ...all.map(of)];
  return [
    '## An alignment begun with an imported SAE, beside one from nothing',
    `SmolLM2-135M-Instruct, behind block ${layer}, ${nFree} free latents (TopK, k ${k}); facts of countries that it answers right unedited. The SAE learned from ${Math.round(rows)} activations of running text (${pretraining.steps} steps, ${time(seconds.PRETRAIN)} s with the model's passes), left as files of SAELens and was imported. Post-training has ${steps} steps of 256 rows. Swaps are whole answers on unseen countries at the alpha chosen on others. Measured by \`npx tsx bench/pretrained.ts\` on ${machine}.`,
    markdown(
      ['', ...all.map(({ name }) => name)],
      row('first stage, s', ({ seconds }) => time(seconds.PRETRAIN)),
      row('post-training, s (aim ≤ 60)', ({ seconds }) => time(seconds.POSTTRAIN)),
      row('binding, known phrasings', ({ alignment }) => share(alignment.known.accuracy)),
      row('binding, held-out phrasings', ({ alignment }) => share(alignment.heldOut.accuracy)),
      row('alpha', ({ alignment }) => alignment.chosenAlpha ?? '–'),
      row('swaps, known phrasings', (compared) => swaps(compared, 'TRAIN')),
      row('swaps, held-out phrasings', (compared) => swaps(compared, 'TEST_OOD')),
      row("the imported SAE's best latents, best of three alphas", (one) =>
        control(one, 'UNSUPERVISED_LATENT'),
      ),
      row('random latents, the same', (one) => control(one, 'RANDOM_LATENT')),
      row('isolation, other prompts', (one) => isolation(one, 'otherPrompts')),
      row('isolation, texts', (one) => isolation(one, 'texts')),
      row('FVU, held-out prompts', ({ alignment }) => share(alignment.reconstruction.fvu)),
      row('L0', ({ alignment }) => alignment.reconstruction.l0.toFixed(1)),
      row('dead latents, share', ({ alignment }) => share(alignment.reconstruction.deadLatents)),
      row('answers kept with the reconstruction', ({ alignment }) => kept(alignment)),
    ),
  ].join('\n\n');
}

function time(seconds: number | undefined): string {
  return seconds === undefined ? '–' : seconds.toFixed(0);
}

function swaps({ alignment }: Compared, split: string): string {
  return show(
    pooled(
      alignment.swaps.filter(
        (each) => each.control === 'CONCEPT' && each.population === 'UNSEEN' && each.split === split,
      ),
    ),
  );
}

/** At the alpha that does best on these very prompts. */
function control({ sweep }: Compared, kind: string): string {
  const [best] = (sweep?.controls ?? [])
    .filter((cell) => cell.kind === kind)
    .sort((a, b) => b.success.successes - a.success.successes);
  return best ? `${show(best.success)} at ${best.alpha}` : '–';
}

/** What an armed swap at the chosen alpha leaves as it is. */
function isolation({ alignment, sweep }: Compared, of: 'otherPrompts' | 'texts'): string {
  const cell = sweep?.results.find(({ alpha }) => alpha === (alignment.chosenAlpha ?? 1));
  return cell ? show(cell[of]) : '–';
}

/** Of the answers that the model gives unedited, as shares of all. */
function kept({ faithfulness }: Compared['alignment']): string {
  const of = (replacement: string) =>
    share(faithfulness.find((each) => each.replacement === replacement)?.accuracy.value);
  return `${of('RECONSTRUCTION')} of ${of('CLEAN')}`;
}

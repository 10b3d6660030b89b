/** Swap methods and controls, each at the alpha that does best on these very prompts. */
import { best, bestOf } from './cells.ts';
import { markdown, pooled, type Row, share, show } from './markdown.ts';
import { type Cell, PRESETS, type Preset, type SeedStudy } from './study.ts';

export function methodTable({ seed, sweeps }: SeedStudy): string {
  const { results, controls } = sweeps.COUNTERFACTUAL;
  const methods = [...new Set(results.map(({ method }) => method))];
  const rows = methods.map((method): Row => {
    const ours = bestOf(results.filter((cell) => cell.method === method))!;
    const control = (kind: string) => {
      const found = best(controls, kind, method);
      return found ? `${show(found.success)} at ${found.alpha}` : '–';
    };
    return [
      ...[method, `${show(ours.success)} at ${ours.alpha}`],
      ...[share(ours.otherPrompts.value), share(ours.texts.value)],
      ...[control('UNSUPERVISED_LATENT'), control('RANDOM_LATENT')],
    ];
  });
  const kept = ['prompts kept', 'texts kept'];
  const head = ['method', 'slots, best alpha', ...kept, 'unsupervised latents', 'random latents'];
  return `COUNTERFACTUAL, seed ${seed}, held-out phrasings; every entry at its own best alpha, chosen on these very prompts:\n\n${markdown(head, ...rows)}`;
}

export function baselineText(seeds: readonly SeedStudy[]): string {
  const probes = seeds.flatMap(({ sweeps }) => sweeps.COUNTERFACTUAL.linearProbe ?? []);
  const sizes = seeds.map(({ sweeps }) => sweeps.COUNTERFACTUAL.das?.dimensions ?? '–').join(', ');
  const read = (of: 'accuracy' | 'binding') => show(pooled(probes.map((probe) => probe[of])));
  return `The same swaps of all seeds, LATENT_DECODE, each at the alpha that does best on these very prompts. What they do is said in the API under \`SweepControl\`: PROMPT asks the target outright, DAS is trained on the swaps that COUNTERFACTUAL learns from and edits in ${sizes} dimensions (by seed), the probe’s direction is added. The probe reads ${read('accuracy')} of the prompts, the slots ${read('binding')}.`;
}

/** Alpha is chosen over all seeds together. */
export function baselineTable(seeds: readonly SeedStudy[]): string {
  const ofSlots = (preset: Preset) => seeds.flatMap(({ sweeps }) => sweeps[preset]?.results ?? []);
  const controls = seeds.flatMap(({ sweeps }) => sweeps.COUNTERFACTUAL.controls);
  const kinds = [...new Set(controls.map(({ kind }) => kind!))];
  const row = (name: string, cells: readonly Cell[]): Row => {
    const own = cells.filter(({ method }) => method === 'LATENT_DECODE' || !isOfLatents(method));
    const byAlpha = [...new Set(own.map(({ alpha }) => alpha))].map((alpha) => {
      const at = own.filter((cell) => cell.alpha === alpha);
      return {
        alpha,
        success: pooled(at.map(({ success }) => success)),
        others: pooled(at.map((c) => c.otherPrompts)),
      };
    });
    const found = bestOf(byAlpha)!;
    return [name, found.alpha, show(found.success), share(found.others.value)];
  };
  return markdown(
    ['edited', 'alpha', 'swaps, unseen people, held-out phrasings', 'other prompts kept'],
    ...PRESETS.map((preset) => row(`slots, ${preset}`, ofSlots(preset))),
    ...kinds.map((kind) =>
      row(
        kind,
        controls.filter((cell) => cell.kind === kind),
      ),
    ),
  );
}

const isOfLatents = (method: string) =>
  ['LATENT_DELTA', 'DECODER_COLUMN', 'DECODER_PAIR', 'ORTHOGONAL'].includes(method);

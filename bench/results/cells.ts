/** What the tables of one hop pick from a study. */
import { pooled, type Rate } from './markdown.ts';
import { type Alignment, type Cell, PRESETS, type Preset, type SeedStudy } from './study.ts';

/** The studies that have the preset, each with its alignment. */
export function alignedBy(seeds: readonly SeedStudy[], preset: Preset) {
  return seeds.flatMap((study) => {
    const alignment = study.alignments[preset];
    return alignment ? [{ study, seed: study.seed, alignment }] : [];
  });
}

/** Those that the study has. */
export function presetsOf({ alignments }: SeedStudy) {
  return PRESETS.flatMap((preset) => {
    const alignment = alignments[preset];
    return alignment ? [{ preset, alignment }] : [];
  });
}

export function swapsOf({ swaps }: Alignment, control: string, split?: string): Rate {
  return pooled(
    swaps
      .filter((s) => s.control === control && s.population === 'UNSEEN' && (!split || s.split === split))
      .map(({ trials, successes }) => ({ trials, successes })),
  );
}

/** The sweep's cell at the alpha that the alignment chose; of a preset that the study has. */
export function chosenCell({ alignments, sweeps }: SeedStudy, preset: Preset): Cell {
  const { chosenAlpha } = alignments[preset]!;
  const cells = sweeps[preset]!.results.filter(({ method }) => method === 'LATENT_DECODE');
  const near = (cell: Cell) => Math.abs(cell.alpha - chosenAlpha);
  return cells.reduce((a, b) => (near(b) < near(a) ? b : a));
}

export function pooledCell(seeds: readonly SeedStudy[], preset: Preset, alpha: number): Rate {
  const cells = seeds.flatMap((s) => s.sweeps[preset]?.results ?? []);
  return pooled(cells.filter((c) => c.method === 'LATENT_DECODE' && c.alpha === alpha).map((c) => c.success));
}

export function bestPooled(seeds: readonly SeedStudy[], preset: Preset, alphas: readonly number[]) {
  return bestOf(alphas.map((alpha) => ({ alpha, success: pooledCell(seeds, preset, alpha) })))!;
}

export function best(controls: readonly Cell[], kind: string, method: string): Cell | undefined {
  return bestOf(controls.filter((cell) => cell.kind === kind && cell.method === method));
}

/** What succeeds most often, of equals the first. */
export function bestOf<T extends { success: Rate }>(cells: readonly T[]): T | undefined {
  const [first, ...others] = cells;
  return others.reduce((a, b) => ((b.success.value ?? 0) > (a?.success.value ?? 0) ? b : a), first);
}

/** One text in so many is about the source, as many as there are concepts: biographies state each as often. */
export function allTexts(cells: readonly Cell[]): number {
  const texts = pooled(cells.map((cell) => cell.texts)).value!;
  const statements = pooled(cells.map((cell) => cell.statements)).value!;
  return (5 * texts + statements) / 6;
}

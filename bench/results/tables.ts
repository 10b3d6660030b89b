/** The tables of one hop: swaps, isolation, what was withheld, reconstruction. */
import { alignedBy, allTexts, chosenCell, pooledCell, presetsOf, swapsOf } from './cells.ts';
import { markdown, pooled, type Rate, type Row, share, show } from './markdown.ts';
import { PLAIN_PRESETS, PRESETS, type SeedStudy } from './study.ts';

export function swapTable(seeds: readonly SeedStudy[]): string {
  const rows = PRESETS.flatMap((preset) => {
    const aligned = alignedBy(seeds, preset);
    const of = (split: string) => aligned.map(({ alignment }) => swapsOf(alignment, 'CONCEPT', split));
    const own = aligned.map(({ seed, alignment }, i): Row => {
      const random = swapsOf(alignment, 'RANDOM_LATENT');
      return [
        preset,
        seed,
        alignment.chosenAlpha,
        show(of('TRAIN')[i]!),
        show(of('TEST_OOD')[i]!),
        show(random),
      ];
    });
    const deviation = (split: string) => `${show(pooled(of(split)))}, s.d. ${share(spread(of(split)))}`;
    return [...own, [preset, 'all', '', deviation('TRAIN'), deviation('TEST_OOD'), ''] as Row];
  });
  return markdown(
    ['preset', 'seed', 'alpha', 'known phrasings', 'held-out phrasings', 'random latents'],
    ...rows,
  );
}

export function alphaTable(seeds: readonly SeedStudy[]): string {
  const alphas = seeds[0]!.sweeps.PAPER.results
    .filter((c) => c.method === 'LATENT_DECODE')
    .map((c) => c.alpha);
  const rows = PRESETS.map(
    (preset): Row => [preset, ...alphas.map((alpha) => share(pooledCell(seeds, preset, alpha).value))],
  );
  return `Success by alpha, held-out phrasings, all seeds (LATENT_DECODE):\n\n${markdown(['preset', ...alphas.map(String)], ...rows)}`;
}

export function plainTable(seeds: readonly SeedStudy[]): string {
  const rows = PLAIN_PRESETS.flatMap((preset) => {
    const of = (split: string) =>
      seeds.map(({ plain }) => swapsOf(plain.alignments[preset], 'CONCEPT', split));
    const [known, heldOut] = [of('TRAIN'), of('TEST_OOD')];
    const own = seeds.map(({ seed, plain }, i): Row => {
      const { chosenAlpha, binding } = plain.alignments[preset];
      return [preset, seed, chosenAlpha, share(binding.accuracy), show(known[i]!), show(heldOut[i]!)];
    });
    return [...own, [preset, 'all', '', '', show(pooled(known)), show(pooled(heldOut))] as Row];
  });
  return markdown(
    ['preset', 'seed', 'alpha', 'binding, held-out', 'known phrasings', 'held-out phrasings'],
    ...rows,
  );
}

export function isolationTable(seeds: readonly SeedStudy[]): string {
  const rows = [...PRESETS, 'Quiet' as const].flatMap((name) =>
    (name === 'Quiet' ? seeds : alignedBy(seeds, name).map(({ study }) => study)).map((s): Row => {
      const cell = name === 'Quiet' ? s.quiet.cell : chosenCell(s, name);
      return [
        name,
        s.seed,
        cell.alpha,
        show(cell.otherPrompts),
        show(cell.texts),
        show(cell.statements),
        share(allTexts([cell])),
      ];
    }),
  );
  const head = [
    'preset',
    'seed',
    'alpha',
    'other prompts',
    'other texts',
    'statements of the source',
    'all texts',
  ];
  return markdown(head, ...rows);
}

export function withheldTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap(({ seed, withheld }): Row[] => [
    [seed, 'pairs, 20%', withheld.pairs.alpha, show(withheld.pairs.success)],
    [seed, `target ${withheld.target.key}`, withheld.target.cell.alpha, show(withheld.target.cell.success)],
  ]);
  return markdown(['seed', 'withheld', 'alpha', 'success'], ...rows);
}

export function bindingTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap((s): Row[] => [
    ...presetsOf(s).map(({ preset, alignment: { binding, reconstruction: r } }): Row => {
      const { train, testOod } = s.model;
      return [
        ...[s.seed, preset, `${share(train)} / ${share(testOod)}`, share(binding.accuracy)],
        ...[share(binding.diagonalAccuracy), share(r.fvu), r.l0.toFixed(0), share(r.deadLatents)],
      ];
    }),
    [
      ...[s.seed, 'unsupervised', '', share(s.baseline.binding.accuracy), ''],
      ...[share(s.baseline.reconstruction.fvu), s.baseline.reconstruction.l0.toFixed(0)],
      share(s.baseline.reconstruction.deadLatents),
    ],
  ]);
  const head = ['seed', 'SAE', 'model, train / held-out', 'binding', 'diagonal', 'FVU', 'L0', 'dead'];
  return markdown(head, ...rows);
}

export function faithfulnessTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap((s) =>
    presetsOf(s).map(({ preset, alignment }): Row => {
      const of = (replacement: string) => {
        const found = alignment.faithfulness.find((f) => f.replacement === replacement)!;
        return `${share(found.accuracy.value)}, ${found.crossEntropy.toFixed(2)}`;
      };
      return [s.seed, preset, of('CLEAN'), of('RECONSTRUCTION'), of('MEAN'), of('ZERO')];
    }),
  );
  const head = ['seed', 'preset', 'clean', 'reconstruction', 'mean', 'zero'];
  return `Accuracy, and cross-entropy in nats a token:\n\n${markdown(head, ...rows)}`;
}

export function fragmentationTable(seeds: readonly SeedStudy[]): string {
  const of = (latents: readonly { fragmentation: number }[]) => {
    const counts = latents.map(({ fragmentation }) => fragmentation);
    return `${(counts.reduce((a, b) => a + b, 0) / counts.length).toFixed(1)} (${Math.max(...counts)})`;
  };
  const rows = seeds.map(
    (s): Row => [
      s.seed,
      ...PRESETS.map((preset) => {
        const aligned = s.alignments[preset];
        return aligned ? of(aligned.conceptLatents) : '–';
      }),
      of(s.baseline.conceptLatents),
    ],
  );
  return markdown(['seed', ...PRESETS.map((p) => `slots, ${p}`), 'unsupervised SAE'], ...rows);
}

function spread(rates: readonly Rate[]): number {
  const values = rates.map(({ value }) => value!);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / Math.max(1, values.length - 1));
}

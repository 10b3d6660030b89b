/** The one-hop part of the report, from what was measured. */
import { type Layers, layerTable, renderDepth } from './layers.ts';
import { markdown, pooled, type Rate, type Row, share, show } from './markdown.ts';
import { measureTable, slotTable } from './measures.ts';
import {
  type Alignment,
  type Cell,
  GATHERING,
  PLAIN_PRESETS,
  PRESETS,
  type Preset,
  QUIET,
  type SeedStudy,
} from './study.ts';

interface Report {
  seeds: readonly SeedStudy[];
  layers: Layers;
  /** Null where it is not measured yet. */
  depth: Layers | null;
}

export function renderOneHop(report: Report): string {
  const { seeds } = report;
  return [
    '## One hop',
    `For each seed a dataset of 100 people, a language model, an alignment with each of the three presets, an unsupervised baseline, swap sweeps, and alignments that withhold what they are judged by. Settings are the API's defaults, layer 0, unless a table says otherwise; the model's are with \`${JSON.stringify(GATHERING)}\`: its first block gathers what is asked and looks nothing up, so that a concept can be exchanged behind it. *Plain* is the same on a model with an MLP in every block.`,
    'A share stands with its 95% Wilson interval, which is about the prompts; figures over seeds pool their trials, and the spread between seeds is shown beside them. Swaps are on people whom the SAE never saw, and alpha is the one chosen on ten other people (VALIDATION), never on what is reported. The presets were found with seeds 0 to 2 in view, the model on seed 4; the seeds here chose nothing. What was tried where an aim is missed, and did not help, is in docs/experiments.md.',
    summary(report),
    '### Swap success',
    swapTable(seeds),
    alphaTable(seeds),
    '### Plain blocks',
    'The same with an MLP in the first block too, which looks a part of the answers up before an edit can stand.',
    plainTable(seeds),
    '### Methods and controls',
    methodTable(seeds[0]!),
    '### Baselines that people cite',
    baselineText(seeds),
    baselineTable(seeds),
    '### The authors’ measures',
    'COUNTERFACTUAL’s swaps and the others’ as above, on unseen people, held-out phrasings, all seeds. *A part* is the looser match of the authors: one answer is a part of the other. *Category kept*: of the swaps that fail, those that answer with a value of the target concept. EffFeat and Top1Conc say how far what a concept fires is one latent, over all latents and over the slots alone; the margin is that of the strongest slot over the second.',
    measureTable(seeds),
    'What one slot by itself does to answers, COUNTERFACTUAL, mean over the seeds: the change of their log-odds in nats, of the slot’s own concept and, on average, of each other one.',
    slotTable(seeds),
    '### Isolation',
    'Armed swaps stand ready at every position and fire where the source slot is above 0.5. Texts are biography lines: the model goes on behind their first half. Those that state the source’s own fact are counted apart, for there the model is about to say it and the slot is rightly on; with them among the texts, isolation on texts is the last column.',
    `*Quiet* is COUNTERFACTUAL with \`${JSON.stringify(QUIET)}\`.`,
    isolationTable(seeds),
    '### What was withheld',
    'Swaps that training’s counterfactuals never led to: (person, target) pairs, 20% of them, on the people the SAE learned from; and one whole target concept a seed, on unseen people. COUNTERFACTUAL, known phrasings.',
    withheldTable(seeds),
    '### Layers',
    `COUNTERFACTUAL on the model of seed ${seeds[0]!.seed}. Layer -1 is the residual stream before the first block, where the last token knows nothing of the question.`,
    layerTable(report.layers),
    ...renderDepth(report.depth),
    '### Binding, reconstruction and faithfulness',
    'Held-out phrasings. Faithfulness: whole answers right with the last prompt token’s activation replaced.',
    bindingTable(seeds),
    faithfulnessTable(seeds),
    '### Fragmentation',
    'Latents that it takes to reach 95% of a concept’s separability, mean over the concepts (most in brackets).',
    fragmentationTable(seeds),
  ].join('\n\n');
}

function summary({ seeds, layers }: Report): string {
  const counterfactual = pooled(seeds.map((s) => swapsOf(s.alignments.COUNTERFACTUAL, 'CONCEPT')));
  const paper = bestPooled(seeds, 'PAPER', [1.5, 2, 2.5]);
  const random = pooled(PRESETS.flatMap((p) => seeds.map((s) => swapsOf(s.alignments[p], 'RANDOM_LATENT'))));
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
  const worst = (of: (study: SeedStudy) => Alignment) =>
    Math.min(...seeds.map((s) => swapsOf(of(s), 'CONCEPT').value ?? 0));
  return markdown(
    ['what', 'aim', 'reached'],
    ['swaps, unseen people, COUNTERFACTUAL, mean of seeds', '≥ .96', show(counterfactual)],
    ['the same, worst seed', '≥ .93', share(worst((s) => s.alignments.COUNTERFACTUAL))],
    [
      'swaps, unseen people, PAPER, best alpha of 1.5 to 2.5',
      '≥ .90',
      `${show(paper.rate)} at ${paper.alpha}`,
    ],
    [
      'on plain blocks, COUNTERFACTUAL: mean; worst seed',
      'shown',
      `${show(pooled(seeds.map(({ plain }) => swapsOf(plain.alignments.COUNTERFACTUAL, 'CONCEPT'))))}; ${share(worst((s) => s.plain.alignments.COUNTERFACTUAL))}`,
    ],
    ['withheld (person, target) pairs', '≥ .80', show(pairs)],
    ['withheld target concepts', '≥ .80', show(targets)],
    ['isolation, prompts about other concepts', '≥ .98', show(pooled(isolation.map((c) => c.otherPrompts)))],
    [
      'isolation, texts that state nothing of the source',
      '≥ .97',
      show(pooled(isolation.map((c) => c.texts))),
    ],
    ['the same with more silence', '≥ .97', show(pooled(seeds.map(({ quiet }) => quiet.cell.texts)))],
    [
      'swaps, unseen people, with more silence: mean; worst seed',
      'no lower',
      `${show(pooled(seeds.map(({ quiet }) => swapsOf(quiet.alignment, 'CONCEPT'))))}; ${share(worst((s) => s.quiet.alignment))}`,
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

function swapTable(seeds: readonly SeedStudy[]): string {
  const rows = PRESETS.flatMap((preset) => {
    const of = (split: string) => seeds.map((s) => swapsOf(s.alignments[preset], 'CONCEPT', split));
    const own = seeds.map((s, i): Row => {
      const { chosenAlpha } = s.alignments[preset];
      const random = swapsOf(s.alignments[preset], 'RANDOM_LATENT');
      return [preset, s.seed, chosenAlpha, show(of('TRAIN')[i]!), show(of('TEST_OOD')[i]!), show(random)];
    });
    const deviation = (split: string) => `${show(pooled(of(split)))}, s.d. ${share(spread(of(split)))}`;
    return [...own, [preset, 'all', '', deviation('TRAIN'), deviation('TEST_OOD'), ''] as Row];
  });
  return markdown(
    ['preset', 'seed', 'alpha', 'known phrasings', 'held-out phrasings', 'random latents'],
    ...rows,
  );
}

function plainTable(seeds: readonly SeedStudy[]): string {
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

function alphaTable(seeds: readonly SeedStudy[]): string {
  const alphas = seeds[0]!.sweeps.PAPER.results
    .filter((c) => c.method === 'LATENT_DECODE')
    .map((c) => c.alpha);
  const rows = PRESETS.map(
    (preset): Row => [preset, ...alphas.map((alpha) => share(pooledCell(seeds, preset, alpha).value))],
  );
  return `Success by alpha, held-out phrasings, all seeds (LATENT_DECODE):\n\n${markdown(['preset', ...alphas.map(String)], ...rows)}`;
}

function methodTable({ seed, sweeps }: SeedStudy): string {
  const sections = (['COUNTERFACTUAL'] as const).map((preset) => {
    const { results, controls } = sweeps[preset];
    const methods = [...new Set(results.map(({ method }) => method))];
    const rows = methods.map((method): Row => {
      const ours = bestOf(results.filter((cell) => cell.method === method));
      const control = (kind: string) => {
        const found = best(controls, kind, method);
        return found ? `${show(found.success)} at ${found.alpha}` : '–';
      };
      return [
        method,
        `${show(ours.success)} at ${ours.alpha}`,
        share(ours.otherPrompts.value),
        share(ours.texts.value),
        control('UNSUPERVISED_LATENT'),
        control('RANDOM_LATENT'),
      ];
    });
    const head = [
      'method',
      'slots, best alpha',
      'prompts kept',
      'texts kept',
      'unsupervised latents',
      'random latents',
    ];
    return `${preset}, seed ${seed}, held-out phrasings; every entry at its own best alpha, chosen on these very prompts:\n\n${markdown(head, ...rows)}`;
  });
  return sections.join('\n\n');
}

function baselineText(seeds: readonly SeedStudy[]): string {
  const probes = seeds.flatMap(({ sweeps }) => sweeps.COUNTERFACTUAL.linearProbe ?? []);
  const sizes = seeds.map(({ sweeps }) => sweeps.COUNTERFACTUAL.das?.dimensions ?? '–').join(', ');
  const read = (of: 'accuracy' | 'binding') => show(pooled(probes.map((probe) => probe[of])));
  return `The same swaps of all seeds, LATENT_DECODE, each at the alpha that does best on these very prompts. What they do is said in the API under \`SweepControl\`: PROMPT asks the target outright, DAS is trained on the swaps that COUNTERFACTUAL learns from and edits in ${sizes} dimensions (by seed), the probe’s direction is added. The probe reads ${read('accuracy')} of the prompts, the slots ${read('binding')}.`;
}

/** Alpha is chosen over all seeds together. */
function baselineTable(seeds: readonly SeedStudy[]): string {
  const ofSlots = (preset: Preset) => seeds.flatMap(({ sweeps }) => sweeps[preset].results);
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
    const found = byAlpha.reduce((a, b) => ((b.success.value ?? 0) > (a.success.value ?? 0) ? b : a));
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

function isolationTable(seeds: readonly SeedStudy[]): string {
  const rows = [...PRESETS, 'Quiet' as const].flatMap((name) =>
    seeds.map((s): Row => {
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

function withheldTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap(({ seed, withheld }): Row[] => [
    [seed, 'pairs, 20%', withheld.pairs.alpha, show(withheld.pairs.success)],
    [seed, `target ${withheld.target.key}`, withheld.target.cell.alpha, show(withheld.target.cell.success)],
  ]);
  return markdown(['seed', 'withheld', 'alpha', 'success'], ...rows);
}

function bindingTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap((s): Row[] => [
    ...PRESETS.map((preset): Row => {
      const { binding, reconstruction: r } = s.alignments[preset];
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

function faithfulnessTable(seeds: readonly SeedStudy[]): string {
  const rows = seeds.flatMap((s) =>
    PRESETS.map((preset): Row => {
      const of = (replacement: string) => {
        const found = s.alignments[preset].faithfulness.find((f) => f.replacement === replacement)!;
        return `${share(found.accuracy.value)}, ${found.crossEntropy.toFixed(2)}`;
      };
      return [s.seed, preset, of('CLEAN'), of('RECONSTRUCTION'), of('MEAN'), of('ZERO')];
    }),
  );
  const head = ['seed', 'preset', 'clean', 'reconstruction', 'mean', 'zero'];
  return `Accuracy, and cross-entropy in nats a token:\n\n${markdown(head, ...rows)}`;
}

function fragmentationTable(seeds: readonly SeedStudy[]): string {
  const of = (latents: readonly { fragmentation: number }[]) => {
    const counts = latents.map(({ fragmentation }) => fragmentation);
    return `${(counts.reduce((a, b) => a + b, 0) / counts.length).toFixed(1)} (${Math.max(...counts)})`;
  };
  const rows = seeds.map(
    (s): Row => [
      s.seed,
      ...PRESETS.map((preset) => of(s.alignments[preset].conceptLatents)),
      of(s.baseline.conceptLatents),
    ],
  );
  return markdown(['seed', ...PRESETS.map((p) => `slots, ${p}`), 'unsupervised SAE'], ...rows);
}

function swapsOf({ swaps }: Alignment, control: string, split?: string): Rate {
  return pooled(
    swaps
      .filter((s) => s.control === control && s.population === 'UNSEEN' && (!split || s.split === split))
      .map(({ trials, successes }) => ({ trials, successes })),
  );
}

/** The sweep's cell at the alpha that the alignment chose. */
function chosenCell({ alignments, sweeps }: SeedStudy, preset: Preset): Cell {
  const { chosenAlpha } = alignments[preset];
  const cells = sweeps[preset].results.filter(({ method }) => method === 'LATENT_DECODE');
  const near = (cell: Cell) => Math.abs(cell.alpha - chosenAlpha);
  return cells.reduce((a, b) => (near(b) < near(a) ? b : a));
}

function pooledCell(seeds: readonly SeedStudy[], preset: Preset, alpha: number): Rate {
  const cells = seeds.flatMap((s) => s.sweeps[preset].results);
  return pooled(cells.filter((c) => c.method === 'LATENT_DECODE' && c.alpha === alpha).map((c) => c.success));
}

function bestPooled(seeds: readonly SeedStudy[], preset: Preset, alphas: readonly number[]) {
  const all = alphas.map((alpha) => ({ alpha, rate: pooledCell(seeds, preset, alpha) }));
  return all.reduce((a, b) => ((b.rate.value ?? 0) > (a.rate.value ?? 0) ? b : a));
}

function best(controls: readonly Cell[], kind: string, method: string): Cell | undefined {
  const cells = controls.filter((cell) => cell.kind === kind && cell.method === method);
  return cells.length > 0 ? bestOf(cells) : undefined;
}

function bestOf(cells: readonly Cell[]): Cell {
  return cells.reduce((a, b) => ((b.success.value ?? 0) > (a.success.value ?? 0) ? b : a));
}

/** One text in so many is about the source, as many as there are concepts: biographies state each as often. */
function allTexts(cells: readonly Cell[]): number {
  const texts = pooled(cells.map((cell) => cell.texts)).value!;
  const statements = pooled(cells.map((cell) => cell.statements)).value!;
  return (5 * texts + statements) / 6;
}

function spread(rates: readonly Rate[]): number {
  const values = rates.map(({ value }) => value!);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / Math.max(1, values.length - 1));
}

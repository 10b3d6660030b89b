/** The one-hop part of the report, from what was measured. */
import { baselineTable, baselineText, methodTable } from './baselines.ts';
import { type Layers, layerTable, renderDepth } from './layers.ts';
import { measureTable, slotTable } from './measures.ts';
import { ONE_HOP_MODEL, QUIET, type SeedStudy } from './study.ts';
import { summary } from './summary.ts';
import {
  alphaTable,
  bindingTable,
  faithfulnessTable,
  fragmentationTable,
  isolationTable,
  plainTable,
  swapTable,
  withheldTable,
} from './tables.ts';

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
    `For each seed a dataset of 100 people, a language model, an alignment with each of the three presets (AUTHORS with the first seed alone: its 28,200 steps of 10,000 latents take as long as all else together), an unsupervised baseline, swap sweeps, and alignments that withhold what they are judged by. Settings are the API's defaults, layer 0, unless a table says otherwise; the model's are with \`${JSON.stringify(ONE_HOP_MODEL)}\`: its first block gathers what is asked and looks nothing up, so that a concept can be exchanged behind it, and one other block answers: several may read the question again. *Plain* is the same on a model with an MLP in every block and the API's own initial weights and rate.`,
    'A share stands with its 95% Wilson interval, which is about the prompts; figures over seeds pool their trials, and the spread between seeds is shown beside them. Swaps are on people whom the SAE never saw, and alpha is the one chosen on ten other people (VALIDATION), never on what is reported. The presets were found with seeds 0 to 2 in view, the model on seeds 0 to 44; the seeds here chose nothing, and were not looked at before. What was tried where an aim is missed, and did not help, is in docs/experiments.md.',
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

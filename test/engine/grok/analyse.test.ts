import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memory, type Tensor3D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sameAnswer } from '../../../src/data/answers.ts';
import { generateTwoHop } from '../../../src/data/two-hop-generator.ts';
import { createWithheld } from '../../../src/engine/align/withheld.ts';
import type { GrokkingPoint } from '../../../src/engine/contract/analysis.ts';
import { grokSettings } from '../../../src/engine/contract/analysisSettings.ts';
import { bestOf, ratioOf } from '../../../src/engine/contract/hopSwap.ts';
import { hopSwapSettings } from '../../../src/engine/contract/hopSwapSettings.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import type { SwapMethod } from '../../../src/engine/contract/swap.ts';
import { armedEdit, armedHook } from '../../../src/engine/edits/armed.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { type ConceptPair, createEditor, slotSwap } from '../../../src/engine/edits/editors.ts';
import { measureHopSwaps } from '../../../src/engine/edits/hopSwaps.ts';
import { drawHopTrials, relationPairs } from '../../../src/engine/edits/hopTrials.ts';
import { METHODS } from '../../../src/engine/edits/methods.ts';
import { answerPlaces, captureAt, placeTrials } from '../../../src/engine/edits/placedTrials.ts';
import { analyseCheckpoint } from '../../../src/engine/grok/analyse.ts';
import { measureAnswers } from '../../../src/engine/grok/answers.ts';
import { captureHop } from '../../../src/engine/grok/capture.ts';
import { askOther, placesOf } from '../../../src/engine/grok/places.ts';
import { twoHopQuestions } from '../../../src/engine/grok/questions.ts';
import { findRelations } from '../../../src/engine/grok/relationPlaces.ts';
import { indexShown } from '../../../src/engine/grok/shownFacts.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import type { StoredSae } from '../../../src/engine/sae/file.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, type Recorder } from '../model/recorder.ts';

const STEPS = 300;
const dataset = generateTwoHop({ entities: 8, relations: 4, trainShare: 0.6, factPhrasings: 1 });
const settings = grokSettings.parse({ nFree: 32, pretrainSteps: 50, posttrainSteps: 300 });
const noWait = async () => {};

let workDir: string;
let context: Recorder;
let untrained: LanguageModel;
let trained: LanguageModel;
let first: GrokkingPoint;
let last: { point: GrokkingPoint; saes: StoredSae[] };

beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'grok-'));
  context = createRecorder(workDir);
  const training = {
    ...{ nLayers: 2, dModel: 32, nCtx: 16, steps: STEPS, batchSize: 48, learningRate: 4e-3 },
    ...{ warmupSteps: 20, weightDecay: 0.5 },
  };
  const job = {
    kind: 'MODEL',
    settings: modelSettings.parse(training),
    dataset,
    keepSteps: [0, STEPS],
  } as const;
  await trainModel(job, context);
  const models = context.snapshots.map(({ weights, config, tokenizer }) =>
    loadLanguageModel({ weights: weights.path, config, tokenizer }),
  );
  [untrained, trained] = (await Promise.all(models)) as [LanguageModel, LanguageModel];
  first = (await analyseCheckpoint(untrained, dataset, settings, context)).point;
  last = await analyseCheckpoint(trained, dataset, settings, context);
}, 120_000);

afterAll(async () => {
  untrained.dispose();
  trained.dispose();
  await rm(workDir, { recursive: true });
});

describe('twoHopQuestions', () => {
  test('are read at the token before E2 and at its last token', () => {
    const { encode } = trained.tokenizer;
    for (const question of twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings)) {
      const [e1, e2] = question.entities;
      const [at1, at2] = question.positions;
      expect(question.tokens[at1]).toBe(encode(` ${e1}`).at(-1));
      expect(question.tokens[at1 + 1]).toBe(encode(` ${e2}`)[0]);
      expect(question.tokens[at2]).toBe(encode(` ${e2}`).at(-1));
      const fact = dataset.facts.find(
        ({ entity, concept }) => entity === e2 && concept === question.relations[1],
      );
      expect(question.tokens[at2 + 1]).toBe(encode(` ${fact!.value}`)[0]);
    }
  });
});

describe('a question answered with E3 alone', () => {
  const answered = (answerOf: (answer: string) => string) => {
    const prompts = dataset.prompts.map((prompt) => ({ ...prompt, answer: answerOf(prompt.answer!) }));
    return { ...dataset, prompts };
  };
  const implicit = answered((answer) => answer.split(' ')[1]!);

  test('is read at its last token at both hops, and swaps at either lead to an E3', async () => {
    const questions = twoHopQuestions(implicit, trained.tokenizer, 'TRAIN', settings);
    for (const { tokens, from, positions, isImplicit } of questions) {
      expect([isImplicit, ...positions]).toEqual([true, from - 1, from - 1]);
      expect(tokens).toHaveLength(from + 2);
    }
    const ends = new Set(implicit.prompts.map(({ answer }) => answer));
    for (const hop of [0, 1] as const) {
      const { h } = await captureHop(trained, questions, hop, settings, noWait);
      const drawn = drawHopTrials({ hop, questions, h }, dataset, () => true, { seed: 0, count: 100 });
      expect(drawn.length).toBeGreaterThan(20);
      for (const { expected, question } of drawn) {
        expect(ends).toContain(expected[0]);
        expect(trained.tokenizer.encode(` ${expected[0]}`)).not.toEqual([question.tokens[question.from]]);
      }
    }
  });

  test('is refused by an SAE of both hops, and with any other answer', async () => {
    await expect(analyseCheckpoint(trained, implicit, settings, context)).rejects.toThrow(
      'set shared to false',
    );
    const other = answered((answer) => answer.split(' ')[0]!);
    expect(() => twoHopQuestions(other, trained.tokenizer, 'TRAIN', settings)).toThrow(
      'both hops can be read only where the answer begins with',
    );
  });
});

describe('analyseCheckpoint', () => {
  test('counts the questions whose whole answer the model generates', async () => {
    for (const [model, point] of [
      [untrained, first],
      [trained, last.point],
    ] as const)
      for (const [split, counted] of [
        ['TRAIN', point.train],
        ['VALIDATION', point.heldOut],
      ] as const) {
        const asked = dataset.prompts.filter((prompt) => prompt.split === split);
        const tokens = asked.map(({ prompt }) => model.tokenizer.encode(prompt));
        const made = await generate(model, tokens, { maxNewTokens: 3 });
        const correct = made.filter(({ text }, i) => sameAnswer(text, asked[i]!.answer!)).length;
        expect(counted).toEqual({ questions: asked.length, correct });
      }
    expect(first.heldOut.correct).toBe(0);
    expect(last.point.train.correct / last.point.train.questions).toBeGreaterThan(0.95);
  });

  test('follows loss, margin, weights and single facts', () => {
    expect(first.loss).toBeGreaterThan(Math.log(10));
    expect(last.point.loss).toBeLessThan(0.3);
    expect(first.logitMargin).toBeLessThan(0);
    expect(last.point.logitMargin).toBeGreaterThan(1);
    expect(last.point.oneHop!.questions).toBe(dataset.texts.length);
    expect(last.point.oneHop!.correct).toBeGreaterThan(first.oneHop!.correct);
    const squares = Object.values(trained.weights).flatMap((weight) => [...weight.dataSync()]);
    expect(last.point.weightNorm).toBeCloseTo(Math.hypot(...squares), 2);
  });

  test('binds both hops, and tells the directions that its SAE writes', () => {
    const [sae] = last.saes;
    const { nFree, dModel } = sae!.config;
    for (const [i, hop] of last.point.hops.entries()) {
      expect(hop.top1).toBeGreaterThan(0.85);
      expect(hop.top1).toBeGreaterThan(first.hops[i]!.top1);
      expect(hop.top3).toBeGreaterThanOrEqual(hop.top1);
      expect(hop.matrix.map((row, k) => row[k]!).reduce((a, b) => a + b) / 4).toBeCloseTo(
        hop.diagonalStrength,
        6,
      );
      hop.directions.forEach((direction, k) => {
        const start = (nFree + k) * dModel;
        const column = [...sae!.weights['decoder.weight']!.data.slice(start, start + dModel)];
        expect(direction).toEqual(column);
      });
    }
    expect(last.point.hops.map(({ hop }) => hop)).toEqual([1, 2]);
  });

  test("ablates by taking away what the hop's slots write, and nothing else", async () => {
    const { saes, point } = await analyseCheckpoint(
      trained,
      dataset,
      { ...settings, shared: false },
      context,
    );
    const questions = twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings);
    const { h } = await captureHop(trained, questions, 0, settings, noWait);
    const { config, weights, normalization } = saes[0]!;
    const { dModel, nFree, nConcepts } = config;
    const sae = new Sae(saes[0]!);
    const slots = sae.slots(h);
    sae.dispose();
    const column = (k: number, j: number) => weights['decoder.weight']!.data[(nFree + k) * dModel + j]!;
    const values = h.map((value, i) => {
      const row = Math.floor(i / dModel);
      let written = 0;
      for (let k = 0; k < nConcepts; k++) written += slots[row * nConcepts + k]! * column(k, i % dModel);
      return value - written * normalization.scale;
    });
    const tokens = questions.map((question) => question.tokens.slice(0, question.from));
    const made = await generate(trained, tokens, { maxNewTokens: 3, edit: { layer: 0, values } });
    const ids = (i: number) => [...made[i]!.tokens.map(({ id }) => id), trained.tokenizer.eosId];
    const correct = questions.filter(({ tokens, from }, i) => String(tokens.slice(from)) === String(ids(i)));
    const { heldOut, hops } = point;
    expect(correct.length).not.toBe(heldOut.correct);
    expect(hops[0]!.ablationEffect).toBeCloseTo((heldOut.correct - correct.length) / heldOut.questions, 9);
  });

  test('gives the same numbers again, and leaves no tensor behind', async () => {
    const before = memory().numTensors;
    const again = await analyseCheckpoint(trained, dataset, settings, context);
    expect(again.point).toEqual(last.point);
    expect(memory().numTensors).toBe(before);
  });

  test('trains one SAE a hop where they are not shared', async () => {
    const { saes, point } = await analyseCheckpoint(
      trained,
      dataset,
      { ...settings, shared: false },
      context,
    );
    expect(saes).toHaveLength(2);
    expect(saes[0]!.weights).not.toEqual(saes[1]!.weights);
    for (const hop of point.hops) expect(hop.top1).toBeGreaterThan(0.85);
  });
});

describe('drawHopTrials', () => {
  test('expects what the target leads to, from E1 at hop 1 and from E2 at hop 2', async () => {
    const questions = twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings);
    const factOf = (entity: string, concept: number) =>
      dataset.facts.find((fact) => fact.entity === entity && fact.concept === concept)!.value;
    const keyOf = (tokens: readonly number[]) => tokens.join(' ');
    for (const hop of [0, 1] as const) {
      const { h } = await captureHop(trained, questions, hop, settings, noWait);
      const how = { seed: 0, count: 1000 };
      const isWithheld = createWithheld(dataset, last.saes[0]!.settings);
      const drawn = drawHopTrials({ hop, questions, h }, dataset, isWithheld, how);
      expect(drawn.length).toBeGreaterThan(5);
      for (const trial of drawn) {
        const question = questions.find(
          ({ tokens, positions }) => keyOf(tokens.slice(0, positions[hop] + 1)) === keyOf(trial.tokens),
        )!;
        const entity = question.entities[hop];
        const reached = factOf(entity, trial.target);
        const end = hop === 0 ? ` ${factOf(reached, question.relations[1])}` : '';
        expect(trial.source).toBe(question.relations[hop]);
        expect(trial.expected).toEqual([`${reached}${end}`]);
        expect(reached).not.toBe(factOf(entity, trial.source));
        expect(isWithheld(entity, trial.target)).toBe(true);
      }
    }
  });
});

test('facts that training neither asks about nor states are no targets of swaps', () => {
  const data = generateTwoHop({ entities: 8, relations: 4, trainShare: 0.2, factPhrasings: 0 });
  const factOf = (entity: string, concept: number) =>
    data.facts.find((fact) => fact.entity === entity && fact.concept === concept)!.value;
  const asked = data.prompts.filter(({ split }) => split === 'TRAIN');
  const follows = (entity: string, concept: number) =>
    asked.some(({ entity: first, concepts: [one, two] }) => {
      return (first === entity && one === concept) || (factOf(first, one!) === entity && two === concept);
    });
  const shown = indexShown(data);
  let never = 0;
  for (const { entity, concept, value } of data.facts) {
    expect(shown(entity, concept)).toBe(follows(entity, concept) ? value : undefined);
    if (follows(entity, concept)) continue;
    never++;
    const text = { id: 't', text: `Her friend is ${value}`, entity, split: 'TRAIN' } as const;
    expect(indexShown({ ...data, texts: [text] })(entity, concept)).toBe(value);
  }
  expect(never).toBeGreaterThan(2);
});

describe('measureHopSwaps', () => {
  test('reports every method and control at both hops, slots above random latents', async () => {
    const before = memory().numTensors;
    const swaps = hopSwapSettings.parse({
      ...{ methods: ['LATENT_DECODE', 'MEAN_DIFFERENCE'], alphas: [0, 1, 2], trials: 60 },
    });
    const told: number[] = [];
    const measures = await measureHopSwaps(
      trained,
      last.saes,
      dataset,
      { grok: settings, swaps },
      context,
      (share) => told.push(share),
    );
    expect(told).toEqual([0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]);
    const edits = measures.map(({ hop, edited, method }) => `${hop} ${edited} ${method}`);
    expect(edits).toEqual(
      [1, 2].flatMap((hop) => [
        `${hop} CONCEPT LATENT_DECODE`,
        `${hop} UNSUPERVISED_LATENT LATENT_DECODE`,
        `${hop} RANDOM_LATENT LATENT_DECODE`,
        `${hop} MEAN_DIFFERENCE MEAN_DIFFERENCE`,
        ...[`${hop} TRUE_ACTIVATION REPLACEMENT`, `${hop} SUM REPLACEMENT`],
      ]),
    );
    const rateOf = (hop: number, edited: string) => {
      const { shown } = measures.find((m) => m.hop === hop && m.edited === edited)!;
      return shown.successes / shown.trials;
    };
    for (const hop of [1, 2])
      expect(rateOf(hop, 'CONCEPT')).toBeGreaterThan(rateOf(hop, 'RANDOM_LATENT') + 0.1);
    for (const hop of [1, 2])
      expect(rateOf(hop, 'TRUE_ACTIVATION')).toBeGreaterThan(rateOf(hop, 'RANDOM_LATENT') + 0.1);
    for (const { isolation, withheld, choosing, alpha } of measures.filter(
      ({ method }) => method !== 'REPLACEMENT',
    )) {
      expect(choosing.map((tried) => tried.alpha)).toEqual([0, 1, 2]);
      const most = Math.max(...choosing.map(({ successes }) => successes));
      expect(choosing.find(({ successes }) => successes === most)!.alpha).toBe(alpha);
      expect(isolation.questions).toBeGreaterThan(0);
      expect(isolation.kept).toBeLessThanOrEqual(isolation.questions);
      expect(withheld.trials).toBeGreaterThan(0);
    }
    expect(memory().numTensors).toBe(before);
  }, 60_000);
});

describe('swaps at the relation’s own token too', () => {
  const placed = { ...settings, positions: 'RELATION' as const };

  test('stand at the last tokens of both labels, R2 first', () => {
    const { encode } = trained.tokenizer;
    const questions = twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings);
    for (const { tokens, relations, relationPlaces } of questions) {
      expect(relationPlaces![1]).toBeLessThan(relationPlaces![0]);
      for (const hop of [0, 1] as const)
        expect(tokens[relationPlaces![hop]]).toBe(
          encode(` ${dataset.concepts[relations[hop]]!.label}`).at(-1),
        );
    }
    const { prompt, concepts } = dataset.prompts.find(({ concepts: [a, b] }) => b !== undefined && a !== b)!;
    const [first, second] = concepts as [number, number];
    expect(findRelations(prompt, [first, second], dataset, trained.tokenizer)).not.toBeNull();
    // Named the other way round, R1 first, it says nothing that hops could be edited at.
    expect(findRelations(prompt, [second, first], dataset, trained.tokenizer)).toBeNull();
    // Without words around them the first label has no blank before it.
    const bare = `${dataset.concepts[second]!.label} ${dataset.concepts[first]!.label} nobody`;
    expect(findRelations(bare, [first, second], dataset, trained.tokenizer)).toEqual([1, 0]);
    const unnamed = dataset.concepts.map((concept) => ({ ...concept, label: 'nobody' }));
    const others = twoHopQuestions({ ...dataset, concepts: unnamed }, trained.tokenizer, 'TRAIN', settings);
    expect(others.every(({ relationPlaces }) => relationPlaces === null)).toBe(true);
    expect(() => placesOf(0, placed, others)).toThrow('name both relations by their labels');
  });

  test('put the true activations of all places in: above the last block the model answers as it is asked', async () => {
    const top = { ...placed, layer: trained.config.nLayers - 1 };
    const questions = twoHopQuestions(dataset, trained.tokenizer, 'TRAIN', top);
    const places = placesOf(0, top, questions);
    expect(places).toHaveLength(2);
    const { h } = await captureHop(trained, questions, 0, top, noWait);
    const trials = drawHopTrials({ hop: 0, questions, h }, dataset, () => true, { seed: 0, count: 40 });
    const own = await placeTrials(trained, trials, places, top.layer, noWait);
    const unedited = await answerPlaces(trained, top.layer, own, own.h, noWait);
    const { tokenizer } = trained;
    const plain = await generate(
      trained,
      trials.map(({ tokens }) => tokens),
      { maxNewTokens: 3 },
    );
    expect(unedited).toEqual(plain.map(({ tokens }) => tokens.map(({ id }) => id)));
    // At the first token the answer is the target's; what follows reads the question again.
    const asked = trials.map(
      ({ question, target }) => askOther(question, 0, target, dataset, tokenizer)!.tokens,
    );
    const said = await generate(trained, asked, { maxNewTokens: 1 });
    const values = await Promise.all(
      own.positions.map((positions) =>
        captureAt(
          trained,
          asked.map((tokens) => ({ tokens })),
          positions,
          top.layer,
          noWait,
        ),
      ),
    );
    const made = await answerPlaces(trained, top.layer, own, values, noWait);
    expect(made.map(([first]) => first)).toEqual(said.map(({ tokens }) => tokens[0]?.id));
  });

  test('are measured by every hand, with SAEs of their own, and leave no tensor behind', async () => {
    const before = memory().numTensors;
    const swaps = hopSwapSettings.parse({ methods: ['LATENT_DECODE'], alphas: [1], trials: 60 });
    const measure = () =>
      measureHopSwaps(trained, last.saes, dataset, { grok: placed, swaps }, context, () => {});
    const measures = await measure();
    expect(memory().numTensors).toBe(before);
    expect(measures.map(({ hop, edited }) => `${hop} ${edited}`)).toEqual(
      [1, 2].flatMap((hop) =>
        ['CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'TRUE_ACTIVATION', 'SUM'].map(
          (e) => `${hop} ${e}`,
        ),
      ),
    );
    const rateOf = (hop: number, edited: string) => {
      const { shown } = measures.find((m) => m.hop === hop && m.edited === edited)!;
      return shown.successes / shown.trials;
    };
    for (const hop of [1, 2])
      for (const edited of ['CONCEPT', 'TRUE_ACTIVATION'])
        expect(rateOf(hop, edited)).toBeGreaterThan(rateOf(hop, 'RANDOM_LATENT') + 0.1);
    const [slots] = measures;
    expect(slots!.isolation.questions).toBeGreaterThan(0);
    expect(slots!.isolation.kept).toBeGreaterThan(0.5 * slots!.isolation.questions);
  });
});

/** Every trial by itself: the whole prompt again with the edited activation in its place. */
async function countOneByOne(sae: Sae, method: SwapMethod, alpha: number, hop: 0 | 1) {
  const { layer, seed } = sae.settings;
  const questions = twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings);
  const { h } = await captureHop(trained, questions, hop, settings, noWait);
  const isWithheld = createWithheld(dataset, sae.settings);
  const counts = { shown: 0, withheld: 0 };
  const trials: Record<'shown' | 'withheld', (ConceptPair & { right: boolean })[]> = {
    shown: [],
    withheld: [],
  };
  for (const [kind, of] of [
    ['shown', (entity: string, concept: number) => !isWithheld(entity, concept)],
    ['withheld', isWithheld],
  ] as const)
    for (const trial of drawHopTrials({ hop, questions, h }, dataset, of, { seed, count: 60 })) {
      const edit = METHODS[method].prepare(sae, slotSwap(sae, trial))(alpha);
      const values = applyEdits(sae, trial.h, [edit]);
      const [made] = await generate(trained, [trial.tokens], { maxNewTokens: 5, edit: { layer, values } });
      const right = sameAnswer(made!.text, trial.expected[0]!);
      if (right) counts[kind]++;
      trials[kind].push({ source: trial.source, target: trial.target, right });
    }
  return { counts, trials };
}

/** Every armed swap in a teacher-forced pass over a right answer. */
async function keepOneByOne(sae: Sae, method: SwapMethod, alpha: number, hop: 0 | 1) {
  const { layer, seed } = sae.settings;
  const questions = twoHopQuestions(dataset, trained.tokenizer, 'VALIDATION', settings);
  const { right } = await measureAnswers(trained, questions, { layer, breathe: noWait });
  const { h } = await captureHop(trained, questions, hop, settings, noWait);
  const isWithheld = createWithheld(dataset, sae.settings);
  const isShown = (entity: string, concept: number) => !isWithheld(entity, concept);
  const pairs = relationPairs(dataset);
  const swaps = pairs.map((pair) => slotSwap(sae, pair));
  const editor = createEditor({ edited: 'CONCEPT', sae, methods: [method], swaps });
  const counts = { questions: 0, kept: 0 };
  const shown = drawHopTrials({ hop, questions, h }, dataset, isShown, { seed, count: 60 });
  for (const [i, { pair, source }] of shown.entries()) {
    const others = questions.filter(({ relations }, k) => right[k] && !relations.includes(source));
    const question = others[i % others.length]!;
    const hook = armedHook(sae, layer, [armedEdit(editor, method, pair, alpha)]);
    const edit = (resid: Tensor3D) => hook.apply(resid);
    const { correct } = await measureAnswers(trained, [question], { layer, edit, breathe: noWait });
    counts.questions++;
    counts.kept += correct;
  }
  return counts;
}

test.each(['LATENT_DECODE', 'MEAN_DIFFERENCE'] as const)(
  'hop swaps count what swaps one by one give, and isolation: %s',
  async (method) => {
    const swaps = hopSwapSettings.parse({ methods: [method], alphas: [2], trials: 60 });
    const given = { grok: settings, swaps };
    const measures = await measureHopSwaps(trained, last.saes, dataset, given, context, () => {});
    const edited = method === 'MEAN_DIFFERENCE' ? 'MEAN_DIFFERENCE' : 'CONCEPT';
    const sae = new Sae(last.saes[0]!);
    for (const hop of [0, 1] as const) {
      const measure = measures.find((one) => one.hop === hop + 1 && one.edited === edited)!;
      const { shown, withheld, isolation, relations } = measure;
      const { counts: counted, trials } = await countOneByOne(sae, method, 2, hop);
      expect({ shown: shown.successes, withheld: withheld.successes }).toEqual(counted);
      expect(counted.shown).toBeGreaterThan(0);
      expect(relations.map(({ relation }) => relation)).toEqual(dataset.concepts.map((_, i) => i));
      for (const { relation, ...sides } of relations)
        for (const side of ['source', 'target'] as const)
          for (const kind of ['shown', 'withheld'] as const) {
            const own = trials[kind].filter((trial) => trial[side] === relation);
            const successes = own.filter(({ right }) => right).length;
            expect(sides[side][kind]).toEqual({ trials: own.length, successes });
          }
      expect(isolation).toEqual(await keepOneByOne(sae, method, 2, hop));
      expect(isolation.kept).toBeLessThan(isolation.questions);
    }
    sae.dispose();
  },
  60_000,
);

test('what is judged by is the method that did best on TRAIN questions, whatever it reached on held-out ones', () => {
  const measure = (method: string, edited: string, tried: number, withheld: number) => ({
    ...{ hop: 2 as const, edited, method, alpha: 2, withheld: { trials: 10, successes: withheld } },
    choosing: [
      { alpha: 1, trials: 10, successes: 0 },
      { alpha: 2, trials: 10, successes: tried },
    ],
  });
  const measures = [
    measure('LATENT_DELTA', 'CONCEPT', 5, 9),
    measure('LATENT_DECODE', 'CONCEPT', 7, 6),
    measure('ORTHOGONAL', 'UNSUPERVISED_LATENT', 3, 4),
  ];
  const slots = bestOf(measures, 2, 'CONCEPT')!;
  expect(slots.method).toBe('LATENT_DECODE');
  expect(ratioOf(slots.withheld, bestOf(measures, 2, 'UNSUPERVISED_LATENT')!.withheld)).toBeCloseTo(1.5, 9);
  expect(bestOf(measures, 1, 'CONCEPT')).toBeNull();
  expect(ratioOf(slots.withheld, { trials: 10, successes: 0 })).toBeNull();
});

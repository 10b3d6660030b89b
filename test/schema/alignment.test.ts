/** The main job through the API, on the real engine and small: train, align, look, swap. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sameAnswer } from '../../src/data/answers.ts';
import type { Api, Data } from './api.ts';
import { contract } from './contract.ts';
import { openWorkedApi } from './workedApi.ts';

const PEOPLE = 6;
const N_FREE = 32;
/** Two trainings, perhaps on wasm and on a busy machine. */
const SETUP_TIMEOUT_MS = 300_000;

let api: Api;
/** Global ids. */
let modelRunId: string;
let runId: string;

beforeAll(async () => {
  api = await openWorkedApi();
  const { generateDataset } = await api.ask(contract('GenerateDataset'), { input: { people: PEOPLE } });
  const datasetId = generateDataset.dataset.id;
  modelRunId = await finish('StartModelRun', {
    datasetId,
    settings: { nLayers: 2, nHeads: 2, dModel: 32, steps: 200, batchSize: 32, learningRate: 0.01 },
  });
  const { run } = await api.ask('query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }', {
    id: modelRunId,
  });
  runId = await finish('StartAlignmentRun', {
    modelId: run.model.id,
    settings: {
      ...{ preset: 'COUNTERFACTUAL', nFree: N_FREE, unseenShare: 0.3, validationShare: 0.3, swapTrials: 20 },
      ...{ pretrain: { steps: 20, batchSize: 64 }, posttrain: { steps: 120, batchSize: 64 }, alphas: [1, 2] },
    },
  });
}, SETUP_TIMEOUT_MS);
afterAll(() => api.close());

/** Starts a run and follows it to its end, as a client would. */
async function finish(operation: string, input: object): Promise<string> {
  return followed(await api.ask(contract(operation), { input }));
}

/** Follows what a mutation started. */
async function followed(answer: Data): Promise<string> {
  const started = Object.values(answer)[0] as Data;
  expect(started).toMatchObject({ __typename: 'StartRunSuccess' });
  const { id } = started.run;
  const events: Data[] = [];
  for await (const { data } of await api.subscribe(contract('RunEvents'), { id }))
    events.push(data.runEvents.event);
  const failure = (await api.ask('query ($id: ID!) { run(id: $id) { error { code message } } }', { id })).run
    .error;
  expect(failure).toBeNull();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunStatusChanged', status: 'SUCCEEDED', progress: 1 });
  expect(events.some((event) => event.__typename === 'MetricsLogged' && event.metrics.length > 0)).toBe(true);
  return id;
}

describe('a model run', () => {
  it('leaves a model with its accuracy, its shape and its loss', async () => {
    const MODEL = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          status backend artifactHash
          metrics(names: ["loss"], maxPoints: 10) { name points { step value } }
          ... on ModelRun {
            finalLoss
            model {
              name nParams artifactHash config { nLayers dModel } train: accuracy(split: TRAIN)
              run { id } alignmentRuns(first: 5) { totalCount edges { node { id } } }
            }
          }
        }
      }
    `;
    const { run } = await api.ask(MODEL, { id: modelRunId });
    expect(run.model).toMatchObject({
      ...{ config: { nLayers: 2, dModel: 32 }, run: { id: modelRunId }, artifactHash: run.artifactHash },
      alignmentRuns: { totalCount: 1, edges: [{ node: { id: runId } }] },
    });
    expect(run.model.train).toBeGreaterThan(0.5);
    expect(run.finalLoss).toBeGreaterThan(0);
    const [{ points }] = run.metrics;
    expect(points.at(-1).value).toBeLessThan(points[0].value / 2);
    const { models } = await api.ask('{ models { totalCount edges { node { name } } } }');
    expect(models).toEqual({ totalCount: 1, edges: [{ node: { name: run.model.name } }] });
  });
});

describe('an alignment run', () => {
  it('answers the contract: binding, reconstruction, slots', async () => {
    const { run } = await api.ask(contract('SlotBindings'), { runId });
    expect(run.layer).toBe(0);
    expect(run.binding.concepts).toHaveLength(6);
    expect(run.binding.matrix).toHaveLength(6);
    for (const row of run.binding.matrix) {
      expect(row).toHaveLength(6);
      expect(row.reduce((sum: number, share: number) => sum + share, 0)).toBeCloseTo(1);
    }
    expect(run.binding.accuracy).toBeGreaterThan(0.5);
    expect(run.reconstruction.l0).toBeGreaterThan(0);
    expect(run.reconstruction.fvu).toBeLessThan(1);
    const slots = run.slots.edges.map((edge: Data) => edge.node);
    expect(slots.map((slot: Data) => [slot.index, slot.concept.key])).toEqual(
      run.binding.concepts.map(({ key }: Data, i: number) => [N_FREE + i, key]),
    );
    slots.forEach((slot: Data, i: number) => {
      expect(slot.bindingAccuracy).toBeCloseTo(run.binding.matrix[i][i]);
      expect(slot.topExamples).toHaveLength(3);
      expect(slot.topExamples[0].activation).toBeGreaterThanOrEqual(slot.topExamples[1].activation);
      expect(slot.topExamples[0].prompt).toMatch(/\w/);
      expect(slot.topTokens).toHaveLength(5);
    });
  });

  it('answers that with as many statements as there are kinds of things, however many slots', async () => {
    const statements = vi.spyOn(api.database.pool, 'query');
    await api.ask(contract('SlotBindings'), { runId });
    // run, measures, concepts of the run, slots, concepts, examples
    expect(statements).toHaveBeenCalledTimes(6);
    statements.mockRestore();
  });

  it('shows swaps beside their control, and the alpha that was chosen on validation', async () => {
    const SWAPS = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          ... on AlignmentRun {
            chosenAlpha bestStep
            all: swaps {
              control population split alpha trials successes successRate chosen
              known { trials successes value interval { low } } leftOut
            }
            unseen: swaps(population: UNSEEN, control: CONCEPT, chosen: true) { alpha population control }
          }
        }
      }
    `;
    const { run } = await api.ask(SWAPS, { id: runId });
    expect([1, 2]).toContain(run.chosenAlpha);
    expect(run.bestStep).toBeGreaterThan(0);
    expect(new Set(run.all.map((swap: Data) => swap.control))).toEqual(
      new Set(['CONCEPT', 'RANDOM_LATENT', 'TRUE_ACTIVATION', 'SUM']),
    );
    for (const swap of run.all) {
      expect(swap.successRate).toBe(swap.trials ? swap.successes / swap.trials : null);
      expect(swap.chosen).toBe(swap.alpha === run.chosenAlpha);
      expect(swap.leftOut).toBe(0);
      expect(swap.known.trials).toBeLessThanOrEqual(swap.trials);
      expect(swap.known.value).toBe(swap.known.trials ? swap.known.successes / swap.known.trials : null);
    }
    expect(Math.max(...run.all.map((swap: Data) => swap.known.trials))).toBeGreaterThan(0);
    expect(run.unseen.length).toBeGreaterThan(0);
    for (const swap of run.unseen)
      expect(swap).toEqual({ alpha: run.chosenAlpha, population: 'UNSEEN', control: 'CONCEPT' });
  });

  it('shows how each slot was bound through training, and its page', async () => {
    const PAGES = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          metrics(names: ["validation/binding"], maxPoints: 100) { points { step value } }
          ... on AlignmentRun {
            slots { edges { node {
              bindingHistory { step value }
              latent { firingRateByConcept { concept { key } rate { value } } separability { value } }
            } } }
            latents(concept: "university", first: 1) { separability latent { index } }
          }
        }
      }
    `;
    const { run } = await api.ask(PAGES, { id: runId });
    const histories = run.slots.edges.map(({ node }: Data) => node.bindingHistory);
    run.metrics[0].points.forEach(({ step, value }: Data, i: number) => {
      expect(histories.map((history: Data) => history[i].step)).toEqual(Array(6).fill(step));
      // Validation has as many prompts of each concept.
      const mean = histories.reduce((sum: number, history: Data) => sum + history[i].value / 6, 0);
      expect(mean).toBeCloseTo(value);
    });
    for (const { node } of run.slots.edges) expect(node.latent.firingRateByConcept).toHaveLength(6);
    const university = run.slots.edges[2].node.latent.separability[2].value;
    expect(run.latents[0].separability).toBeGreaterThanOrEqual(university);
  });

  it('says what each slot does to answers by itself', async () => {
    const KNOCKS = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          ... on AlignmentRun {
            binding(split: TEST_OOD) { concepts { key } }
            knocks {
              edit split prompts concept { key }
              asked { answers change }
              others { concept { key } answers change }
            }
            knockedIn: knocks(edit: KNOCK_IN) { concept { key } }
          }
        }
      }
    `;
    const { run } = await api.ask(KNOCKS, { id: runId });
    const keys = run.binding.concepts.map(({ key }: Data) => key);
    const own = run.knocks.map(({ concept, edit }: Data) => [concept.key, edit]);
    expect(own).toEqual(
      keys.flatMap((key: string) => [
        [key, 'KNOCK_OUT'],
        [key, 'KNOCK_IN'],
      ]),
    );
    expect(run.knockedIn.map(({ concept }: Data) => concept.key)).toEqual(keys);
    for (const { split, prompts, asked, others, ...knock } of run.knocks) {
      expect(split).toBe('TEST_OOD');
      expect(asked).toEqual({ answers: prompts, change: expect.any(Number) });
      expect(others.map(({ concept }: Data) => concept.key)).toEqual(keys);
      const same = others.find(({ concept }: Data) => concept.key === knock.concept.key);
      expect(same.answers > 0).toBe(knock.edit === 'KNOCK_IN');
    }
  });

  it('says which latents stand for the concepts, and what the model answers without the activation', async () => {
    const { run } = await api.ask(MEASURES('AlignmentRun'), { id: runId });
    expectMeasures(run);
    expect(run.binding.slotEffFeat).toBeGreaterThanOrEqual(1);
    expect(run.binding.slotEffFeat).toBeLessThan(6);
    expect(run.binding.slotTop1Conc).toBeGreaterThan(1 / 6);
    expect(meanOf(run.binding.conceptValueAccuracy)).toBeCloseTo(run.binding.valueAccuracy); // as many prompts each
    expect(run.conceptLatents.map(({ latent }: Data) => latent)).toEqual(
      run.binding.concepts.map((_: Data, i: number) => N_FREE + i),
    );
    const swaps =
      'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { swaps { successRate rate { value } } } } }';
    for (const swap of (await api.ask(swaps, { id: runId })).run.swaps)
      expect(swap.rate.value).toBe(swap.successRate);
  });

  it('is found from its concepts', async () => {
    const { ontology } = await api.ask(contract('OntologyBySlug'), { slug: 'biography' });
    for (const { slots } of ontology.concepts)
      expect(slots.edges).toMatchObject([
        { node: { run: { id: runId }, bindingAccuracy: expect.any(Number) } },
      ]);
  });
});

/** What an alignment and a baseline are compared by. */
const MEASURES = (type: string) => /* GraphQL */ `
  query ($id: ID!) {
    run(id: $id) {
      kind status
      metrics(names: ["fvu", "l0", "dead", "validation/binding"], maxPoints: 100) { name points { step } }
      ... on ${type} {
        layer
        model { id }
        binding(split: TEST_OOD) {
          accuracy valueAccuracy matrix concepts { key } rate { trials successes value interval { low high } }
          slotMargin conceptValueAccuracy effFeat top1Conc slotEffFeat slotTop1Conc
          concentration { concept { key } effFeat top1Conc slotEffFeat slotTop1Conc }
        }
        reconstruction(split: TEST_OOD) { fvu l0 deadLatents }
        conceptLatents { concept { key } latent separability heldOutSeparability meanActivation fragmentation }
        faithfulness(split: TEST_OOD) {
          replacement crossEntropy accuracy { trials successes value interval { low high } }
          conceptAccuracy { trials successes }
        }
      }
    }
  }
`;

const sumOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
const meanOf = (values: number[]) => sumOf(values) / values.length;

function expectMeasures(run: Data): void {
  expect(run.binding.concepts.map(({ key }: Data) => key)).toEqual(
    run.conceptLatents.map(({ concept }: Data) => concept.key),
  );
  expect(run.binding.matrix).toHaveLength(6);
  expect(run.binding.rate.value).toBeCloseTo(run.binding.accuracy);
  for (const { separability, heldOutSeparability, fragmentation } of run.conceptLatents) {
    expect(separability).toBeGreaterThanOrEqual(0);
    expect(heldOutSeparability).toBeLessThanOrEqual(1);
    expect(fragmentation).toBeGreaterThanOrEqual(1);
  }
  const replacements = run.faithfulness.map(({ replacement }: Data) => replacement);
  expect(new Set(replacements)).toEqual(new Set(['CLEAN', 'RECONSTRUCTION', 'MEAN', 'ZERO']));
  const { concentration } = run.binding;
  expect(concentration.map(({ concept }: Data) => concept.key)).toEqual(
    run.binding.concepts.map(({ key }: Data) => key),
  );
  for (const key of ['effFeat', 'top1Conc'])
    expect(run.binding[key]).toBeCloseTo(meanOf(concentration.map((one: Data) => one[key])));
  expect(run.binding.effFeat).toBeGreaterThan(6);
  expect(run.binding.slotMargin).toBeGreaterThan(0);
  for (const { accuracy, conceptAccuracy } of run.faithfulness) {
    expect(conceptAccuracy).toHaveLength(6);
    expect(sumOf(conceptAccuracy.map(({ trials }: Data) => trials))).toBe(accuracy.trials);
    expect(sumOf(conceptAccuracy.map(({ successes }: Data) => successes))).toBe(accuracy.successes);
  }
  for (const { accuracy, crossEntropy } of run.faithfulness) {
    expect(accuracy.value).toBe(accuracy.successes / accuracy.trials);
    expect(accuracy.interval.low).toBeLessThanOrEqual(accuracy.value);
    expect(accuracy.interval.high).toBeGreaterThanOrEqual(accuracy.value);
    expect(crossEntropy).toBeGreaterThan(0);
  }
}

describe('a baseline run', () => {
  const START = /* GraphQL */ `
    mutation ($input: StartBaselineRunInput!) {
      startBaselineRun(input: $input) {
        __typename
        ... on StartRunSuccess { run { id kind } }
        ... on InputError { message path }
      }
    }
  `;
  const settings = { steps: 30, batchSize: 64, unseenShare: 0.3, validationShare: 0.3, validateEvery: 10 };
  const modelOf = async () => (await api.ask(MEASURES('AlignmentRun'), { id: runId })).run.model.id;

  it('is as large as an alignment by default, and ends with the same measures', async () => {
    const modelId = await modelOf();
    const id = await followed(await api.ask(START, { input: { modelId, settings } }));
    const { run } = await api.ask(MEASURES('BaselineRun'), { id });
    expect(run).toMatchObject({ kind: 'BASELINE', status: 'SUCCEEDED', layer: 0, model: { id: modelId } });
    expectMeasures(run);
    expect(run.binding.valueAccuracy).toBeNull();
    expect(run.binding).toMatchObject({ slotEffFeat: null, slotTop1Conc: null, conceptValueAccuracy: null });
    expect(run.metrics.map(({ name, points }: Data) => [name, points.map(({ step }: Data) => step)])).toEqual(
      ['dead', 'fvu', 'l0'].map((name) => [name, [10, 20, 30]]),
    );
    const shown = await api.ask(
      'query ($id: ID!) { run(id: $id) { ... on BaselineRun { settings { nFree activation steps k aux } } } }',
      { id },
    );
    expect(shown.run.settings).toEqual({ nFree: 1030, activation: 'RELU', steps: 30, k: 32, aux: 1 / 32 });
  });

  it('refuses what cannot be, with the path', async () => {
    const modelId = await modelOf();
    for (const [given, path] of [
      [{ layer: 2 }, ['settings', 'layer']],
      [{ activation: 'LINEAR' }, ['settings', 'activation']],
      [{ activation: 'TOPK', k: 2000 }, ['settings', 'k']],
    ] as const) {
      const { startBaselineRun } = await api.ask(START, { input: { modelId, settings: given } });
      expect(startBaselineRun).toMatchObject({ __typename: 'InputError', path });
    }
  });
});

describe('a swap sweep', () => {
  const SETTINGS = {
    ...{ methods: ['LATENT_DECODE', 'MEAN_DIFFERENCE'], alphas: [1, 2], population: 'SEEN' },
    ...{ promptsPerPair: 2, isolationPerPair: 2 },
  };
  const start = (input: object) => api.ask(contract('StartSwapSweep'), { input: { runId, ...input } });

  it('answers the contract, and tells of each cell as it is measured', async () => {
    const { startSwapSweep } = await start({ settings: SETTINGS });
    const { id } = startSwapSweep.run;
    expect(startSwapSweep.run).toMatchObject({ kind: 'SWAP_SWEEP', status: 'QUEUED' });
    const CELLS = /* GraphQL */ `
      subscription ($id: ID!) {
        runEvents(id: $id) {
          event { ... on SwapCellMeasured { result { __typename method alpha trials success { interval { low } } } } }
        }
      }
    `;
    const told: Data[] = [];
    for await (const { data } of await api.subscribe(CELLS, { id }))
      if (data.runEvents.event.result) told.push(data.runEvents.event.result);
    const { run } = await api.ask(contract('SwapSweep'), { id });
    expect(run.status).toBe('SUCCEEDED');
    expect(run.results.map(({ method, alpha }: Data) => [method, alpha])).toEqual([
      ...[
        ['LATENT_DECODE', 1],
        ['LATENT_DECODE', 2],
      ],
      ...[
        ['MEAN_DIFFERENCE', 1],
        ['MEAN_DIFFERENCE', 2],
      ],
    ]);
    expect(run.controls.map(({ kind, alpha }: Data) => [kind, alpha])).toEqual([
      ...['UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE'].flatMap((kind) => [
        [kind, 1],
        [kind, 2],
      ]),
      ['TRUE_ACTIVATION', 1],
      ['SUM', 1],
    ]);
    // Mean differences stand among both, but are measured once.
    expect(told).toHaveLength(run.results.length + run.controls.length - 2);
    expect(run.pairs).toHaveLength(30);
    for (const { source, target, trials } of run.pairs) {
      expect(source.key).not.toBe(target.key);
      expect(trials).toBeLessThanOrEqual(2);
    }
    const decoded = run.results.find(({ method, alpha }: Data) => method === 'LATENT_DECODE' && alpha === 2);
    expect(run.pairs.reduce((sum: number, { trials }: Data) => sum + trials, 0)).toBe(decoded.trials);
    expect(decoded.isolation).toBeGreaterThanOrEqual(0);
    expect(decoded.isolation).toBeLessThanOrEqual(1);
    const { run: more } = await api.ask(
      `query ($id: ID!) { run(id: $id) { ... on SwapSweepRun {
        alignmentRun { id } baselineRun { id } settings { alphas split placement knownOnly } editsPerSecond
        pairs(method: LATENT_DECODE, alpha: 1.7) { trials }
        measured: pairs(method: LATENT_DECODE, alpha: 2) { trials known { trials successes } leftOut }
        results { method alpha trials known { trials successes } leftOut }
        controls { kind known { trials } }
      } } }`,
      { id },
    );
    expect(more).toMatchObject({ alignmentRun: { id: runId }, pairs: [] });
    expect(more.baselineRun).not.toBeNull(); // the one that fits
    expect(more.settings).toEqual({
      ...{ alphas: [1, 2], split: 'TEST_OOD', placement: 'LAST_TOKEN', knownOnly: false },
    });
    const { known } = more.results.find(
      ({ method, alpha }: Data) => method === 'LATENT_DECODE' && alpha === 2,
    );
    for (const key of ['trials', 'successes'])
      expect(known[key]).toBe(more.measured.reduce((sum: number, pair: Data) => sum + pair.known[key], 0));
    for (const cell of [...more.results, ...more.controls]) expect(cell.known.trials).toBe(known.trials);
    expect(more.editsPerSecond).toBeGreaterThan(0);
  });

  it.each<[object, string[], RegExp]>([
    [{ pairs: [{ source: 'birth_city', target: 'shoe_size' }] }, ['pairs', '0', 'target'], /shoe_size/],
    [{ settings: { alphas: [] } }, ['settings', 'alphas'], /./],
    [{ settings: { isolationPerPair: -1 } }, ['settings', 'isolationPerPair'], /./],
    [{ baselineRunId: 'nonsense' }, ['baselineRunId'], /not an id of this API/],
  ])('refuses %j with its path', async (input, path, message) => {
    const { startSwapSweep } = await start(input);
    expect(startSwapSweep).toMatchObject({ __typename: 'InputError', path });
    expect(startSwapSweep.message).toMatch(message);
  });

  it('refuses another run than an alignment', async () => {
    const { startSwapSweep } = await start({ runId: modelRunId });
    expect(startSwapSweep).toMatchObject({ __typename: 'InputError', path: ['runId'] });
  });
});

describe('a knowledge run', () => {
  const START = /* GraphQL */ `
    mutation ($input: StartKnowledgeRunInput!) {
      startKnowledgeRun(input: $input) {
        __typename
        ... on StartRunSuccess { run { id } }
        ... on InputError { path message }
      }
    }
  `;
  const RUN = /* GraphQL */ `
    query ($id: ID!) {
      run(id: $id) {
        kind exports { name }
        ... on KnowledgeRun {
          settings { seed promptsPerConcept }
          concepts { concept { key } split known { trials successes interval { low } } }
          train: concepts(split: TRAIN) { split }
        }
      }
    }
  `;
  let modelId: string;
  beforeAll(async () => {
    const query = 'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }';
    modelId = (await api.ask(query, { id: modelRunId })).run.model.id;
  });

  it('counts what the model answers right, by concept and split, and is compared and done again', async () => {
    const started = await api.ask(START, { input: { modelId, settings: { promptsPerConcept: 5, seed: 3 } } });
    const { id } = started.startKnowledgeRun.run;
    for await (const _ of await api.subscribe(contract('RunEvents'), { id }));
    const { run } = await api.ask(RUN, { id });
    expect(run).toMatchObject({ kind: 'KNOWLEDGE', settings: { seed: 3, promptsPerConcept: 5 } });
    expect(run.exports).toContainEqual({ name: 'known' });
    expect(run.concepts).toHaveLength(18);
    expect(run.concepts.slice(0, 3).map(({ split }: Data) => split)).toEqual([
      'TRAIN',
      'VALIDATION',
      'TEST_OOD',
    ]);
    expect(run.train).toEqual(Array(6).fill({ split: 'TRAIN' }));
    for (const { known } of run.concepts) {
      expect(known.trials).toBe(5);
      expect(known.successes).toBeLessThanOrEqual(5);
    }
    expect(run.concepts.some(({ known }: Data) => known.successes > 0)).toBe(true);

    const CLONE = /* GraphQL */ `
      mutation ($input: CloneRunInput!) {
        cloneRun(input: $input) { ... on StartRunSuccess { run { id } } ... on Error { message } }
      }
    `;
    const { cloneRun } = await api.ask(CLONE, { input: { id, knowledge: { promptsPerConcept: 2 } } });
    const again = cloneRun.run.id;
    for await (const _ of await api.subscribe(contract('RunEvents'), { id: again }));
    const { run: clone } = await api.ask(RUN, { id: again });
    expect(clone.settings).toEqual({ seed: 3, promptsPerConcept: 2 });
    const COMPARE = /* GraphQL */ `
      query ($ids: [ID!]!) {
        compareRuns(ids: $ids) { measures { name split values { value } } }
      }
    `;
    const { compareRuns } = await api.ask(COMPARE, { ids: [id, again] });
    const measured = compareRuns.measures.filter(({ name }: Data) => name === 'KNOWN_PROMPTS');
    expect(measured).toHaveLength(18);
  });

  it('refuses what cannot be, with the path', async () => {
    for (const [input, path] of [
      [{ modelId, settings: { promptsPerConcept: 0 } }, ['settings', 'promptsPerConcept']],
      [{ modelId: 'nonsense' }, ['modelId']],
    ] as const) {
      const { startKnowledgeRun } = await api.ask(START, { input });
      expect(startKnowledgeRun).toMatchObject({ __typename: 'InputError', path });
    }
  });
});

describe('an alignment that withholds', () => {
  it('refuses a concept that the dataset does not have', async () => {
    const { run } = await api.ask(
      'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { model { id } } } }',
      {
        id: runId,
      },
    );
    const settings = { withheldTargets: ['birth_city', 'shoe_size'] };
    const { startAlignmentRun } = await api.ask(contract('StartAlignmentRun'), {
      input: { modelId: run.model.id, settings },
    });
    expect(startAlignmentRun).toMatchObject({
      __typename: 'InputError',
      path: ['settings', 'withheldTargets', '1'],
      message: expect.stringContaining('shoe_size'),
    });
  });
});

it('says how the slots bound at every look that training took', async () => {
  const { run } = await api.ask(
    `query ($id: ID!) { run(id: $id) {
      metrics(names: ["validation/binding"]) { points { step value } }
      ... on AlignmentRun { bindingSteps bindingLook { step rate { value } matrix } }
    } }`,
    { id: runId },
  );
  const { points } = run.metrics[0];
  expect(points.length).toBeGreaterThan(0);
  expect(run.bindingSteps).toEqual(points.map(({ step }: Data) => step));
  expect(run.bindingLook.step).toBe(points.at(-1).step);
  expect(run.bindingLook.rate.value).toBeCloseTo(points.at(-1).value, 9);
});

describe('swapConcept', () => {
  const swap = async (input: object) =>
    (await api.ask(contract('SwapConcept'), { input })).swapConcept as Data;
  /** A question about the birth city of somebody, and what the dataset says of their university. */
  let example: Data;
  beforeAll(async () => {
    const EXAMPLE = /* GraphQL */ `
      query ($id: ID!, $concept: ID!) {
        run(id: $id) {
          dataset {
            facts(first: 100) { edges { node { entity value concept { key } } } }
            examples(first: 1, split: TRAIN, conceptId: $concept) { edges { node { id prompt answer entity } } }
          }
        }
      }
    `;
    const { ontology } = await api.ask('{ ontology(slug: "biography") { concepts { id key } } }');
    const concept = ontology.concepts.find(({ key }: Data) => key === 'birth_city').id;
    const { dataset } = (await api.ask(EXAMPLE, { id: runId, concept })).run;
    const { node } = dataset.examples.edges[0];
    const facts = dataset.facts.edges.map((edge: Data) => edge.node);
    const factOf = (key: string) =>
      facts.find((fact: Data) => fact.entity === node.entity && fact.concept.key === key).value;
    example = { ...node, university: factOf('university'), universityId: ontology.concepts[2].id };
  });

  it('keeps nothing of a swap that is only tried', async () => {
    const count = async () => (await api.ask('{ interventions { totalCount } }')).interventions.totalCount;
    const before = await count();
    const input = { runId, exampleId: example.id, targetConcept: 'university' };
    const { intervention } = await swap({ ...input, store: false });
    expect(intervention).toMatchObject({ targetConcept: { key: 'university' }, prompt: example.prompt });
    expect(await count()).toBe(before);
    expect(await api.ask('query ($id: ID!) { node(id: $id) { id } }', { id: intervention.id })).toEqual({
      node: null,
    });
    const kept = await swap(input);
    expect(kept.intervention.result).toEqual(intervention.result);
    expect(await count()).toBe(before + 1);
  });

  it('edits one slot of an example’s prompt and judges the answer', async () => {
    const { intervention } = await swap({
      ...{ runId, exampleId: example.id, sourceConcept: 'birth_city', targetConcept: 'university' },
    });
    const { chosenAlpha } = (
      await api.ask('query ($id: ID!) { run(id: $id) { ... on AlignmentRun { chosenAlpha } } }', {
        id: runId,
      })
    ).run;
    expect(intervention).toMatchObject({
      ...{ method: 'LATENT_DECODE', alpha: chosenAlpha, prompt: example.prompt },
      ...{ sourceConcept: { key: 'birth_city' }, targetConcept: { key: 'university' } },
      expectedAnswer: example.university,
      success: expect.any(Boolean),
    });
    for (const { text, tokens } of [intervention.baseline, intervention.result]) {
      expect(typeof text).toBe('string');
      expect(tokens[0].probability).toBeGreaterThan(0);
      expect(tokens[0].probability).toBeLessThanOrEqual(1);
    }
    const changes = Object.fromEntries(
      intervention.slots.map((change: Data) => [change.slot.concept.key, change]),
    );
    expect(Object.keys(changes)).toHaveLength(6);
    expect(changes.birth_city.after).toBe(0);
    expect(changes.university.after).toBe(chosenAlpha);
    expect(changes.major.after).toBe(changes.major.before);
  });

  it('tells whether the model knows both answers', async () => {
    const KNOWN = /* GraphQL */ `
      mutation ($input: SwapConceptInput!) {
        swapConcept(input: $input) {
          ... on SwapConceptSuccess { intervention { id known baseline { text } } }
        }
      }
    `;
    const knowledge = async (input: object) =>
      (await api.ask(KNOWN, { input: { runId, ...input } })).swapConcept.intervention as Data;
    const EXAMPLES = /* GraphQL */ `
      query ($id: ID!, $concept: ID!) {
        run(id: $id) {
          dataset {
            examples(first: 100, split: TEST_OOD, conceptId: $concept) { edges { node { id answer entity } } }
          }
        }
      }
    `;
    const { ontology } = await api.ask('{ ontology(slug: "biography") { concepts { id key } } }');
    const pages = await Promise.all(
      ['birth_city', 'university'].map(async (key) => {
        const concept = ontology.concepts.find((one: Data) => one.key === key).id;
        const { run } = await api.ask(EXAMPLES, { id: runId, concept });
        return run.dataset.examples.edges.map((edge: Data) => edge.node) as Data[];
      }),
    );
    const people = [...new Set(pages[0]!.map(({ entity }) => entity))].slice(0, 8);
    const told: boolean[] = [];
    for (const entity of people) {
      // Phrasings come in the same order for all concepts.
      const [own, target] = pages.map((page) => page.find((one) => one.entity === entity)!);
      const swapped = await knowledge({
        exampleId: own!.id,
        targetConcept: 'university',
        sourceConcept: 'birth_city',
      });
      const other = await knowledge({
        exampleId: target!.id,
        targetConcept: 'birth_city',
        sourceConcept: 'university',
      });
      const isRight = ({ baseline }: Data, { answer }: Data) => sameAnswer(baseline.text, answer);
      expect(swapped.known).toBe(isRight(swapped, own!) && isRight(other, target!));
      expect(other.known).toBe(swapped.known);
      told.push(swapped.known);
    }
    expect(told).toContain(true);
    const ones = await knowledge({ prompt: example.prompt, entity: example.entity, targetConcept: 'major' });
    expect(ones.known).toBeNull();
  });

  it('edits where it is asked to, and keeps where that was', async () => {
    const PLACED = /* GraphQL */ `
      mutation ($input: SwapConceptInput!) {
        swapConcept(input: $input) {
          ... on SwapConceptSuccess { intervention { placement armed alpha alphaLater } }
          ... on InputError { path message }
        }
      }
    `;
    const place = async (more: object) => {
      const input = {
        runId,
        exampleId: example.id,
        sourceConcept: 'birth_city',
        targetConcept: 'university',
      };
      return (await api.ask(PLACED, { input: { ...input, alpha: 3, ...more } })).swapConcept;
    };
    const kept = async (more: object) => (await place(more)).intervention;
    expect(await kept({})).toEqual({ placement: 'LAST_TOKEN', armed: false, alpha: 3, alphaLater: null });
    expect(await kept({ placement: 'ANSWER' })).toEqual({
      ...{ placement: 'ANSWER', armed: false, alpha: 3, alphaLater: 1 },
    });
    expect(await kept({ placement: 'ANSWER', alphaLater: 2 })).toMatchObject({ alphaLater: 2 });
    const armed = { placement: 'ARMED', armed: true, alpha: 3, alphaLater: 3 };
    expect([await kept({ armed: true }), await kept({ placement: 'ARMED' })]).toEqual([armed, armed]);
    expect(await place({ armed: true, placement: 'ANSWER' })).toMatchObject({ path: ['placement'] });
  });

  it('takes a prompt of one’s own, finds its source, and judges only what the dataset knows', async () => {
    const { prompt, entity, universityId } = example;
    const free = await swap({ runId, prompt, targetConcept: universityId, alpha: 3, method: 'DECODER_PAIR' });
    expect(free.intervention).toMatchObject({ alpha: 3, expectedAnswer: null, success: null });
    const named = await swap({
      runId,
      prompt,
      entity,
      sourceConcept: 'birth_city',
      targetConcept: 'university',
    });
    expect(named.intervention.expectedAnswer).toBe(example.university);
  });

  it('does not swap a concept for itself', async () => {
    const { prompt } = example;
    const { intervention } = await swap({ runId, prompt, targetConcept: 'university' });
    const strongest = intervention.sourceConcept.key;
    expect(await swap({ runId, prompt, targetConcept: strongest })).toMatchObject({
      ...{ __typename: 'InputError', path: ['targetConcept'] },
      message: expect.stringContaining(`"${strongest}" is what the prompt is about already`),
    });
  });

  it('succeeds exactly when the answer is the target’s fact', async () => {
    const { prompt, entity } = example;
    const results = await Promise.all(
      ['birth_date', 'university', 'major', 'employer', 'work_city'].flatMap((targetConcept) =>
        ['LATENT_DECODE', 'DECODER_COLUMN'].map((method) =>
          swap({ runId, prompt, entity, sourceConcept: 'birth_city', targetConcept, method, alpha: 2 }),
        ),
      ),
    );
    const outcomes = results.map(({ intervention }) => {
      const answered = intervention.result.text.trim().toLowerCase().replaceAll(/\W+/g, ' ');
      const expected = intervention.expectedAnswer.toLowerCase().replaceAll(/\W+/g, ' ');
      expect(intervention.success).toBe(answered === expected);
      return intervention.success;
    });
    expect(new Set(outcomes)).toEqual(new Set([true, false]));
    const { interventions } = await api.ask(contract('Interventions'), { runId });
    expect(interventions.totalCount).toBeGreaterThanOrEqual(outcomes.filter(Boolean).length);
    expect(interventions.edges.every((edge: Data) => edge.node.success)).toBe(true);
    const ORDERED = `query ($after: String) {
      interventions(first: 4, after: $after, orderBy: { field: METHOD, direction: DESC }) {
        totalCount edges { node { id method } } pageInfo { hasNextPage endCursor }
      }
    }`;
    const ordered: { id: string; method: string }[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const page: Data = (await api.ask(ORDERED, { after })).interventions;
      ordered.push(...page.edges.map(({ node }: Data) => node));
      after = page.pageInfo.endCursor;
      more = page.pageInfo.hasNextPage;
      expect(new Set(ordered.map(({ id }) => id)).size).toBe(ordered.length);
      if (!more) expect(ordered).toHaveLength(page.totalCount);
    }
    const methods = ordered.map(({ method }) => method);
    expect(methods).toEqual([...methods].sort().reverse());
    expect(new Set(methods).size).toBeGreaterThan(1);
    const NEWEST = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) { ... on AlignmentRun { interventions(first: 1) { totalCount edges { node { id } } } } }
      }
    `;
    const newest = (await api.ask(NEWEST, { id: runId })).run.interventions;
    expect(newest.totalCount).toBeGreaterThanOrEqual(results.length);
    const AGAIN =
      'query ($id: ID!) { node(id: $id) { ... on Intervention { run { id } prompt example { id } } } }';
    const { node } = await api.ask(AGAIN, { id: newest.edges[0].node.id });
    expect(node).toEqual({ run: { id: runId }, prompt, example: null });
    const none = await api.ask(
      'query ($runId: ID!) { interventions(filter: { runId: $runId, method: ORTHOGONAL }) { totalCount } }',
      { runId },
    );
    expect(none.interventions.totalCount).toBe(0);
  });

  const NOBODY = '00000000-0000-4000-8000-000000000000';
  it.each([
    ['a run that is no alignment', { runId: () => modelRunId }, 'InputError', ['runId']],
    ['an unknown run', { runId: () => btoa(`AlignmentRun:${NOBODY}`) }, 'NotFoundError', undefined],
    [
      'an unknown example',
      { prompt: null, exampleId: btoa(`Example:${NOBODY}`) },
      'NotFoundError',
      undefined,
    ],
    ['a malformed example', { prompt: null, exampleId: 'x' }, 'InputError', ['exampleId']],
    ['neither prompt nor example', { prompt: null }, 'InputError', ['prompt']],
    ['an empty prompt', { prompt: ' ' }, 'InputError', ['prompt']],
    ['a prompt that is too long', { prompt: 'who '.repeat(100) }, 'InputError', ['prompt']],
    ['an unknown concept', { targetConcept: 'shoe_size' }, 'InputError', ['targetConcept']],
    ['an unknown entity', { entity: 'Nobody' }, 'InputError', ['entity']],
    [
      'one concept for both',
      { sourceConcept: 'major', targetConcept: 'major' },
      'InputError',
      ['targetConcept'],
    ],
    ['an alpha out of range', { alpha: 1e6 }, 'InputError', ['alpha']],
    ['no tokens', { maxNewTokens: 0 }, 'InputError', ['maxNewTokens']],
  ])('refuses %s', async (_what, input: Data, __typename, path) => {
    const given = { prompt: example.prompt, targetConcept: 'university', ...input };
    const result = await swap({ ...given, runId: input.runId?.() ?? runId });
    expect(result).toMatchObject({ __typename, ...(path ? { path } : {}) });
  });
});

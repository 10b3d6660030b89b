/** One small thing of every kind, for hostile strings to be asked about. */
import type { ApiClient } from '../../src/demo/client.ts';
import type { Seeds } from './places.ts';

type Made = Record<string, { __typename: string; message?: string; [key: string]: unknown }>;

/** Ids by type: a trained model, an alignment that has succeeded, and runs of the other kinds, cancelled. */
export async function plantSeeds(client: ApiClient): Promise<Seeds> {
  const make = async <T>(field: string, input: object, selection: string): Promise<T> => {
    const type = `${field[0]!.toUpperCase()}${field.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { made: ${field}(input: $input) { __typename ... on Error { message } ... on ${selection} } }`;
    const { made } = await client.request<Made>(query, { input });
    if (made!.message !== undefined) throw new Error(`${field}: ${made!.message}`);
    return made as T;
  };
  const start = async (field: string, input: object) => {
    const { run } = await make<{ run: { id: string; __typename: string } }>(
      field,
      input,
      'StartRunSuccess { run { id __typename } }',
    );
    return run.id;
  };
  const finish = async (id: string) => {
    const query = 'subscription ($id: ID!) { runEvents(id: $id) { cursor } }';
    for await (const _ of client.subscribe(query, { id }));
  };
  const dataset = 'dataset { id ontology { id concepts { id } } }';
  const { dataset: people } = await make<{
    dataset: { id: string; ontology: { id: string; concepts: { id: string }[] } };
  }>('generateDataset', { people: 20 }, `GenerateDatasetSuccess { ${dataset} }`);
  const { dataset: hops } = await make<{ dataset: { id: string } }>(
    'generateTwoHopDataset',
    { entities: 4, relations: 3, trainShare: 0.5, factPhrasings: 1 },
    'GenerateTwoHopDatasetSuccess { dataset { id } }',
  );
  const ModelRun = await start('startModelRun', { datasetId: people.id, settings: { steps: 30 } });
  await finish(ModelRun);
  const { run } = await client.request<{ run: { model: { id: string } } }>(
    'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }',
    { id: ModelRun },
  );
  const modelId = run.model.id;
  const stage = { steps: 5 };
  const AlignmentRun = await start('startAlignmentRun', {
    modelId,
    settings: { nFree: 32, swapTrials: 4, alphas: [1], pretrain: stage, posttrain: stage },
  });
  await finish(AlignmentRun);
  const cancelled = {
    BaselineRun: await start('startBaselineRun', { modelId }),
    SwapSweepRun: await start('startSwapSweep', { runId: AlignmentRun }),
    GrokkingRun: await start('startGrokkingRun', { datasetId: hops.id }),
  };
  for (const id of Object.values(cancelled))
    await make('cancelRun', { id }, 'CancelRunSuccess { run { id } }');
  return {
    ...{ Dataset: people.id, Ontology: people.ontology.id, Concept: people.ontology.concepts[0]!.id },
    ...{ Model: modelId, ModelRun, AlignmentRun, ...cancelled },
  };
}

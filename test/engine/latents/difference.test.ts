import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import { readDifference } from '../../../src/engine/latents/difference.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinySae } from '../align/tinySae.ts';
import { tinyModel, tinyTokenizer } from '../model/tiny.ts';

const ASKED = ['ada', 'bo', 'cy'].flatMap((ask, concept) =>
  ['fay', 'guy'].map((entity) => ({ ask, concept, entity })),
);
const DATASET: EngineDataset = {
  concepts: ['a', 'b', 'c', 'd'].map((key) => ({ key, label: key })),
  facts: [],
  texts: [],
  prompts: ASKED.map(({ ask, concept, entity }, i) => ({
    ...{ id: `p${i}`, prompt: `${ask} ${entity}`, answer: null, entity, concepts: [concept] },
    ...{ template: '', split: 'TRAIN' as const },
  })),
};

describe('the difference of two concepts', () => {
  let pair: LoadedPair;
  beforeAll(async () => {
    await loadTestBackend('auto');
    // A share of 0 keeps every entity for learning.
    const stored = tinySae(1);
    pair = {
      model: tinyModel(),
      sae: new Sae({ ...stored, settings: { ...stored.settings, unseenShare: 0, validationShare: 0 } }),
    };
  });
  afterAll(() => {
    pair.model.dispose();
    pair.sae.dispose();
  });
  const call = { datasetId: 'd', dataset: DATASET, of: 1, from: 0, isOwn: false };

  test('is that of the mean activations of their prompts', async () => {
    expect(await readDifference(pair, { ...call, datasetId: 'other', dataset: null })).toBeNull();
    const found = (await readDifference(pair, call))!;
    const meanOf = async (concept: number) => {
      const prompts = DATASET.prompts.filter(({ concepts }) => concepts[0] === concept);
      const h = await captureResidPost(
        pair.model,
        prompts.map(({ prompt }) => tinyTokenizer.encode(prompt)),
        { layer: 1 },
      );
      return Array.from({ length: 8 }, (_, j) => (h[j]! + h[8 + j]!) / 2);
    };
    const [of, from] = [await meanOf(1), await meanOf(0)];
    found.forEach((value, j) => {
      expect(value).toBeCloseTo(of[j]! - from[j]!, 5);
    });
    expect(await readDifference(pair, { ...call, dataset: null })).toEqual(found);
  });

  test('of its own dataset is that of the means in the SAE', async () => {
    const { conceptMeans } = tinySae(1);
    const found = (await readDifference(pair, { ...call, dataset: null, isOwn: true }))!;
    found.forEach((value, j) => {
      expect(value).toBeCloseTo(conceptMeans[8 + j]! - conceptMeans[j]!, 6);
    });
  });

  test('is refused where no prompt is about one of them', async () => {
    const refused = readDifference(pair, { ...call, of: 3 });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['of'] });
  });
});

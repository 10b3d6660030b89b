/** What the report is made of: studies that are measured and kept each by itself. */
import type { ApiClient } from '../../src/demo/client.ts';
import { type GrokkingStudy, studyGrokking } from './grokking.ts';
import { type Layers, studyDepth, studyLayers } from './layers.ts';
import type { Circumstances, Part, Parts } from './parts.ts';
import { PEOPLE_PRESETS, type PeoplePreset, studyPeople, TRAINED, trainOnPeople } from './people.ts';
import { fineTuneOnPeople, SMOLLM2_SUBJECTS } from './smollm2.ts';
import { type Model, ONE_HOP_SEEDS, SEEDS, studySeed } from './study.ts';
import { type RecipeName, studyTwoHops } from './twoHop.ts';

export interface Unit {
  name: string;
  seed: number;
  measure(api: ApiClient): Promise<{ study: unknown; layers?: Layers | null }>;
}

/** What is kept of a study: how it was measured beside what was measured. */
export interface Kept<T> {
  study: T;
  /** Of the model of the first seed; null with the others. */
  layers?: Layers | null;
  circumstances: Circumstances;
}

/** By part, in the order in which they are measured: some need what others before them have made. */
export function unitsOf(kept: Parts, trial: boolean): Record<Part, readonly Unit[]> {
  const found = async <T>(part: Part, name: string) => (await kept.find<Kept<T>>(part, name))!.study;
  const unit = (name: string, seed: number, study: (api: ApiClient) => Promise<unknown>): Unit => ({
    ...{ name, seed },
    measure: async (api) => ({ study: await study(api) }),
  });
  const oneHop = (seed: number): Unit => ({
    ...{ name: `presets-${seed}`, seed },
    async measure(api) {
      const study = await studySeed(api, seed, trial);
      return {
        study,
        layers: seed === ONE_HOP_SEEDS[0] ? await studyLayers(api, study.model.id, trial) : null,
      };
    },
  });
  const twoHop = (recipe: RecipeName, seed: number) =>
    unit(`${recipe}-${seed}`, seed, (api) => studyTwoHops(api, recipe, seed, trial));
  const grok = (preset: GrokkingStudy['preset'], seed: number) =>
    unit(`${preset}-${seed}`, seed, (api) => studyGrokking(api, preset, seed, trial));
  return {
    'one-hop': [...ONE_HOP_SEEDS.map(oneHop), unit('depth', SEEDS[0]!, (api) => studyDepth(api, trial))],
    people: [
      unit('model', 0, (api) => trainOnPeople(api, trial)),
      ...PEOPLE_PRESETS.map((preset) =>
        unit(preset, 0, async (api) =>
          studyPeople(api, await found<Model>('people', 'model'), preset, TRAINED, trial),
        ),
      ),
    ],
    smollm2: [
      unit('model', 0, (api) => fineTuneOnPeople(api, trial)),
      ...Object.entries(SMOLLM2_SUBJECTS).map(([preset, subject]) =>
        unit(preset, 0, async (api) =>
          studyPeople(api, await found<Model>('smollm2', 'model'), preset as PeoplePreset, subject, trial),
        ),
      ),
    ],
    'two-hop': [...SEEDS.map((seed) => twoHop('RELATIONS', seed)), twoHop('PUBLISHED', 9)],
    grokking: SEEDS.flatMap((seed) => [grok('GROKKING', seed), grok('IMPLICIT', seed)]),
  };
}

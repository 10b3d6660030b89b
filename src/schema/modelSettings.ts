/** Settings of a model run, in the words of the API. */
import { type ModelSettings, modelSettings } from '../engine/contract/modelSettings.ts';
import { addSettings } from './settings.ts';

export const ModelSettingsTypes = addSettings<ModelSettings>(modelSettings, { nullable: ['initStd'] });

/** Settings of an unsupervised baseline, in the words of the API. */
import { type BaselineSettings, baselineSettings } from '../engine/contract/baselineSettings.ts';
import { addSettings } from './settings.ts';

export const BaselineSettingsTypes = addSettings<BaselineSettings>(baselineSettings);

/** Settings of the analysis of a two-hop model, in the words of the API. */
import { type GrokSettings, grokSettings } from '../engine/contract/analysisSettings.ts';
import { addSettings } from './settings.ts';

export const AnalysisSettingsTypes = addSettings<GrokSettings>(grokSettings);

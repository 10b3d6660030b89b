/** Settings of two-hop swaps, in the words of the API. */
import { type HopSwapSettings, hopSwapSettings } from '../engine/contract/hopSwapSettings.ts';
import { addSettings } from './settings.ts';

export const HopSwapSettingsTypes = addSettings<HopSwapSettings>(hopSwapSettings);

/** Settings of a swap sweep, in the words of the API. */
import { type SweepSettings, sweepControl, sweepSettings } from '../engine/contract/swapSweepSettings.ts';
import { addSettings, enumFrom } from './settings.ts';

export const SweepControl = enumFrom(sweepControl);
export const SweepSettingsTypes = addSettings<SweepSettings>(sweepSettings, { nullable: ['alphaLater'] });

/** Settings of an alignment run, in the words of the API. */
import { ALIGNMENT_PRESETS } from '../engine/contract/alignmentPresets.ts';
import {
  type AlignmentSettings,
  alignmentSettings,
  encoderActivation,
} from '../engine/contract/alignmentSettings.ts';
import { addSettings, enumFrom } from './settings.ts';

export const EncoderActivationRef = enumFrom(encoderActivation);
export const AlignmentSettingsTypes = addSettings<AlignmentSettings>(alignmentSettings, {
  presets: ALIGNMENT_PRESETS,
});

/** Settings of a knowledge run, in the words of the API. */
import { type KnowledgeSettings, knowledgeSettings } from '../engine/contract/knowledge.ts';
import { addSettings } from './settings.ts';

export const KnowledgeSettingsTypes = addSettings<KnowledgeSettings>(knowledgeSettings);

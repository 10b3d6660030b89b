/** Where a model can be taken out for transformers. */
import type { Model } from '../services/model.ts';
import { EXPORTED_FILES } from '../services/modelExport.ts';
import { builder } from './builder.ts';
import { encodeGlobalId } from './ids.ts';

interface ModelFile {
  name: string;
  url: string;
}

export const ModelFileRef = builder.objectRef<ModelFile>('ModelFile').implement({
  description: 'A file of the directory as which Hugging Face transformers loads a model.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Under which it is to be saved, such as `config.json`.' }),
    url: t.exposeString('url', { description: 'Address on this server; read it as `ExportFile.url`.' }),
  }),
});

/** All files of a model; none of one without weights. */
export function modelFilesOf({ id, config }: Pick<Model, 'id' | 'config'>): ModelFile[] {
  if (config.captured) return [];
  const address = `/export/models/${encodeURIComponent(encodeGlobalId('Model', id))}`;
  return EXPORTED_FILES.map((name) => ({ name, url: `${address}/${name}` }));
}

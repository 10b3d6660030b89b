/** Where on the hub something that was trained elsewhere comes from. */
import type { SchemaTypes } from './builder.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
type Known = Partial<Record<'repo' | 'revision' | 'commit', string>>;

/** The hub's part of a source; null where it is a directory. */
export function hubFields<Source extends object>(t: PothosSchemaTypes.ObjectFieldBuilder<Types, Source>) {
  return {
    repo: t.string({
      nullable: true,
      description: 'The repository on the Hugging Face hub; null for a directory.',
      resolve: (source: Known) => source.repo,
    }),
    revision: t.string({
      nullable: true,
      description: 'The branch, tag or commit that was asked for; null for a directory.',
      resolve: (source: Known) => source.revision,
    }),
    commit: t.string({
      nullable: true,
      description: 'What the revision stood for then; null for a directory.',
      resolve: (source: Known) => source.commit,
    }),
  };
}

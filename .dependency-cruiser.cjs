/** Which room may import which; `test/architecture.test.ts` runs it. */
const from = (path, pathNot) => ({ path: `^src/${path}`, ...(pathNot ? { pathNot } : {}) });

/** Types and settings of the engine that name what a run takes and returns; they import no tensors. */
const ENGINE_BOUNDARY =
  '^src/engine/(dataset|protocol|random)\\.ts$|^src/engine/(data|model/checkpoint|.*/(job|settings|baselineSettings|presets|swap|saeLens|huggingFace))(/|\\.ts$)';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/' }, to: {} },
    {
      name: 'schema-imports-services-only',
      comment: 'GraphQL knows use cases, not tables, jobs or tensors.',
      severity: 'error',
      from: from('schema/'),
      to: { path: '^src/(jobs|server|demo|main|engine)/?', pathNot: ENGINE_BOUNDARY },
    },
    {
      name: 'services-know-no-graphql-and-no-tensors',
      severity: 'error',
      from: from('services/'),
      to: { path: ['^src/(schema|server|demo)/', 'node_modules/(graphql|@pothos|graphql-yoga|@tensorflow)'] },
    },
    {
      name: 'services-import-only-the-engine-boundary',
      severity: 'error',
      from: from('services/'),
      to: { path: '^src/engine/', pathNot: ENGINE_BOUNDARY },
    },
    {
      name: 'engine-is-maths',
      comment: 'No SQL, no GraphQL, no configuration.',
      severity: 'error',
      from: from('engine/'),
      to: {
        path: [
          '^src/(db|schema|services|server|jobs|demo|config|log)',
          'node_modules/(graphql|@pothos|drizzle-orm|pg|graphile-worker)',
        ],
      },
    },
    {
      name: 'db-imports-no-one',
      comment: 'Except the plain type that a stored dataset is read into.',
      severity: 'error',
      from: from('db/'),
      to: { path: '^src/(schema|services|server|jobs|engine|demo)/', pathNot: '^src/engine/dataset\\.ts$' },
    },
    {
      name: 'only-main-constructs',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/demo/' },
      to: { path: '^src/main\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    parser: 'swc',
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};

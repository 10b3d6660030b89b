/** Which room may import which; `test/architecture.test.ts` runs it. */
const from = (path, pathNot) => ({ path: `^src/${path}`, ...(pathNot ? { pathNot } : {}) });

/** Plain data that every room may name. */
const CONTRACT = '^src/engine/contract/';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/' }, to: {} },
    {
      name: 'schema-reaches-no-table-no-job-and-no-tensor',
      comment: 'GraphQL knows use cases, kinds of runs and plain contracts.',
      severity: 'error',
      from: from('schema/'),
      to: { path: '^src/(jobs|server|demo|main|db|engine)(/|\\.ts$)', pathNot: CONTRACT },
    },
    {
      name: 'services-know-no-graphql-and-no-tensors',
      severity: 'error',
      from: from('services/'),
      to: {
        path: [
          '^src/(schema|server|demo|engine)/',
          'node_modules/(graphql|@pothos|graphql-yoga|@tensorflow)',
        ],
        pathNot: CONTRACT,
      },
    },
    {
      name: 'runs-know-no-graphql-and-no-tensors',
      comment:
        'What a kind of run is on the side of data; services and jobs use it, and it queues through the queue alone.',
      severity: 'error',
      from: from('runs/'),
      to: {
        path: [
          '^src/(schema|server|services|jobs|demo|engine|main)(/|\\.ts$)',
          'node_modules/(graphql|@pothos|graphql-yoga|@tensorflow)',
        ],
        pathNot: [CONTRACT, '^src/jobs/queue\\.ts$'],
      },
    },
    {
      name: 'engine-is-maths',
      comment: 'No SQL, no GraphQL, no configuration.',
      severity: 'error',
      from: from('engine/'),
      to: {
        path: [
          '^src/(db|schema|services|runs|server|jobs|demo|config|log)',
          'node_modules/(graphql|@pothos|drizzle-orm|pg|graphile-worker)',
        ],
      },
    },
    {
      name: 'contract-is-plain-data',
      comment: 'Jobs, results, settings and messages: nothing of the engine, no tensors, no files.',
      severity: 'error',
      from: from('engine/contract/'),
      to: { pathNot: ['^src/engine/contract/', '^src/errors\\.ts$', 'node_modules/zod/'] },
    },
    {
      name: 'data-and-formats-have-no-tensors',
      comment: 'They also run in the API process, which never loads TensorFlow.',
      severity: 'error',
      from: from('(data|formats)/'),
      to: {
        path: ['^src/', 'node_modules/@tensorflow'],
        pathNot: ['^src/(data|formats|errors|random|storedText)', CONTRACT],
      },
    },
    {
      name: 'db-imports-no-one',
      comment: 'Except plain contracts.',
      severity: 'error',
      from: from('db/'),
      to: { path: '^src/(schema|services|runs|server|jobs|engine|demo|data|formats)/', pathNot: CONTRACT },
    },
    {
      name: 'client-is-alone',
      comment: 'Published for programs elsewhere, and bundled into the page: nothing of the server.',
      severity: 'error',
      from: from('client/'),
      to: { pathNot: ['^src/client/', 'node_modules/(graphql-ws|ws)/'] },
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

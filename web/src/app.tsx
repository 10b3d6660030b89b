/** The frame around every view: where one is, where one can go, whether what streams is up to date. */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { whenUnauthenticated } from './api/graphql.ts';
import { connection } from './api/live.ts';
import { Failed, Loading } from './parts/states.tsx';
import { path } from './router.ts';
import { LOGGED_IN, Login, leave } from './routes/login.tsx';
import { Runs } from './routes/runs.tsx';

interface Params {
  id: string;
  index: string;
}

type View = ComponentType<Params>;

/** A pattern's `:id` and `:index` stand for one part of the address each; views are loaded when they are first seen. */
const VIEWS: [RegExp, string, () => Promise<View>][] = [
  [/^$/, 'Runs', async () => Runs],
  [/^runs\/(?<id>[^/]+)$/, 'Run', async () => (await import('./routes/run.tsx')).Run],
  [/^runs\/(?<id>[^/]+)\/binding$/, 'Binding', async () => (await import('./routes/binding.tsx')).Binding],
  [/^runs\/(?<id>[^/]+)\/swap$/, 'Swap', async () => (await import('./routes/swap.tsx')).SwapRoute],
  [/^runs\/(?<id>[^/]+)\/latents$/, 'Latents', async () => (await import('./routes/latents.tsx')).Latents],
  [
    /^runs\/(?<id>[^/]+)\/latents\/(?<index>\d+)$/,
    'Latent',
    async () => (await import('./routes/latent.tsx')).Latent,
  ],
  [/^runs\/(?<id>[^/]+)\/layers$/, 'Layers', async () => (await import('./routes/layers.tsx')).Layers],
  [/^runs\/(?<id>[^/]+)\/film$/, 'Film', async () => (await import('./routes/film.tsx')).Film],
  [/^models$/, 'Models', async () => (await import('./routes/models.tsx')).Models],
  [/^datasets$/, 'Datasets', async () => (await import('./routes/datasets.tsx')).Datasets],
  [/^datasets\/(?<id>[^/]+)$/, 'Dataset', async () => (await import('./routes/dataset.tsx')).Dataset],
  [/^compare$/, 'Compare', async () => (await import('./routes/compare.tsx')).Compare],
  [/^runs\/(?<id>[^/]+)\/prompt$/, 'Prompt', async () => (await import('./routes/prompt.tsx')).Prompt],
];

const needsKey = signal(false);
whenUnauthenticated(() => {
  needsKey.value = true;
});

export function App() {
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {needsKey.value ? <Login onDone={() => location.reload()} /> : <Route />}
      </main>
    </>
  );
}

const PLACES = [
  ['/app', 'Runs', /^(runs\/.*|compare)?$/],
  ['/app/models', 'Models', /^models/],
  ['/app/datasets', 'Datasets', /^datasets/],
] as const;

function Header() {
  return (
    <header class="top">
      <a class="brand" href="/app">
        AlignSAE
      </a>
      <nav aria-label="Main">
        {PLACES.map(([href, label, own]) => (
          <a key={href} href={href} aria-current={own.test(path.value) ? 'page' : undefined}>
            {label}
          </a>
        ))}
        <a href="/graphql">API</a>
      </nav>
      <Connection />
      {sessionStorage.getItem(LOGGED_IN) && (
        <button type="button" class="small" onClick={leave}>
          Log out
        </button>
      )}
    </header>
  );
}

const CONNECTION = {
  idle: ['', ''],
  live: ['Live', 'What changes is shown at once.'],
  lost: ['Connecting…', 'The connection was lost; what happened meanwhile will be caught up with.'],
} as const;

function Connection() {
  const [text, title] = CONNECTION[connection.value];
  return (
    <span class={`connection ${connection.value}`} role="status" title={title}>
      {text}
    </span>
  );
}

function Route() {
  const match = VIEWS.map(([pattern, title, load]) => ({
    found: pattern.exec(path.value),
    title,
    load,
  })).find(({ found }) => found);
  useEffect(() => {
    document.title = match ? `${match.title} · AlignSAE` : 'AlignSAE';
  }, [match?.title]);
  if (!match)
    return <Failed isWhole title="There is no such page" message={`Nothing is at /app/${path.value}.`} />;
  const { id = '', index = '' } = match.found!.groups ?? {};
  return <Lazy key={path.value} load={match.load} id={decodeURIComponent(id)} index={index} />;
}

function Lazy({ load, ...params }: { load: () => Promise<View> } & Params) {
  const [state, setState] = useState<{ view: View } | { error: Error } | null>(null);
  useEffect(() => {
    load().then(
      (view) => setState({ view }),
      (error: Error) => setState({ error }),
    );
  }, []);
  if (state === null) return <Loading />;
  if ('error' in state)
    return (
      <Failed
        isWhole
        title="This view could not be loaded"
        message={`${state.error.message}. The server may have been updated: load the page again.`}
      />
    );
  return <state.view {...params} />;
}

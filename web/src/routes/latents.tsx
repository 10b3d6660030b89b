/** All latents of a run's SAE: where they lie between density and separability, and a table to walk through. */
import { useEffect, useState } from 'preact/hooks';
import {
  type LatentOrderField,
  LatentPage,
  type LatentRowFragment,
  Latents as LatentsDocument,
} from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { askPatiently, type Patience } from '../api/patience.ts';
import { Scatter } from '../charts/scatter.tsx';
import { number, share } from '../format.ts';
import { Choice } from '../parts/choice.tsx';
import { isOver } from '../parts/run.tsx';
import { RunFrame } from '../parts/runFrame.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Empty, Failed, Loading, Waiting } from '../parts/states.tsx';
import { navigate, query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';

export function Latents({ id }: { id: string }) {
  const { data, error, again } = useQuery(LatentsDocument, { id });
  if (!data) return <Waiting what="Loading the run" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  const sae = 'sae' in run ? run.sae : null;
  const base = `/app/runs/${encodeURIComponent(run.id)}/latents`;
  return (
    <RunFrame what="Latents of" run={run}>
      {sae ? (
        <>
          <p class="quiet">
            {sae.nLatents} latents, {sae.nSlots} of them slots.
          </p>
          <Plane sae={sae.id} base={base} />
          <Pages sae={sae.id} base={base} />
        </>
      ) : (
        <Empty title={isOver(run.status) ? 'There is no SAE' : 'Not yet'}>
          <p>Latents are there when an alignment or a baseline has succeeded.</p>
        </Empty>
      )}
    </RunFrame>
  );
}

/** The concept that it tells best, and how well. */
export function bestOf({ separability }: LatentRowFragment): { label: string; value: number } | null {
  let best: { label: string; value: number } | null = null;
  for (const { concept, value } of separability)
    if (value !== null && (best === null || value > best.value)) best = { label: concept.label, value };
  return best;
}

/** Points drawn; a picture of more says no more. */
const MOST_POINTS = 2_000;
const STRIDE = 500;

function Plane({ sae, base }: { sae: string; base: string }) {
  const [latents, setLatents] = useState<LatentRowFragment[]>([]);
  const [fault, setFault] = useState('');
  useEffect(() => {
    const abort = new AbortController();
    const show = (read: LatentRowFragment[]) => {
      setFault('');
      setLatents(read);
    };
    readAll(sae, { signal: abort.signal, wait: ({ message }) => setFault(message) }, show).catch(
      (error: Error) => {
        if (!abort.signal.aborted) setFault(error.message);
      },
    );
    return () => abort.abort();
  }, [sae]);
  if (fault) return <Failed title="The latents could not be measured" message={fault} />;
  if (latents.length === 0)
    return <Loading what="Measuring the latents; the first time takes some seconds" />;
  const points = latents.map((latent) => {
    const best = bestOf(latent);
    return {
      x: latent.firingRate.value ?? 0,
      y: best?.value ?? 0,
      isMarked: latent.concept !== null,
      key: latent.index,
      label: `Latent ${latent.index}${latent.concept ? `, slot ${latent.concept.label}` : ''}: fires on ${share(latent.firingRate.value)}, tells ${best?.label ?? 'nothing'} by ${share(best?.value)}`,
    };
  });
  return (
    <Scatter
      title={`Density and separability of ${latents.length} latents`}
      xLabel="density: share of prompts it fires on"
      yLabel="separability of its best concept"
      points={points}
      markedAre="slots"
      othersAre="free latents"
      onOpen={(index) => navigate(`${base}/${index}`)}
    />
  );
}

async function readAll(
  sae: string,
  patience: Patience,
  show: (latents: LatentRowFragment[]) => void,
): Promise<void> {
  const all: LatentRowFragment[] = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof readPage>> = await readPage(sae, after, patience);
    if (!page) return;
    all.push(...page.edges.map(({ node }) => node));
    show([...all]);
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after !== null && all.length < MOST_POINTS);
}

async function readPage(sae: string, after: string | null, patience: Patience) {
  // Slots are the last by number, and must be among those that are drawn.
  const orderBy = { field: 'INDEX', direction: 'DESC' } as const;
  const variables = { sae, first: STRIDE, after, orderBy };
  const { node } = await askPatiently(() => request(LatentPage, variables, patience), patience);
  return node && 'latents' in node ? node.latents : null;
}

const ORDERS = [
  ['DENSITY', 'Density'],
  ['MAX', 'Maximum'],
  ['MEAN', 'Mean'],
  ['INDEX', 'Number'],
] as const;

function Pages({ sae, base }: { sae: string; base: string }) {
  const order = (query.value.get('order') ?? 'DENSITY') as LatentOrderField;
  const which = query.value.get('which') ?? 'all';
  const after = query.value.get('after');
  const filter = which === 'slots' ? { isSlot: true } : which === 'dead' ? { isDead: true } : {};
  const direction = order === 'INDEX' ? ('ASC' as const) : ('DESC' as const);
  const { data, error, again } = useQuery(LatentPage, {
    ...{ sae, first: 25, after, filter },
    orderBy: { field: order, direction },
  });
  const page = data?.node && 'latents' in data.node ? data.node.latents : null;
  return (
    <section>
      <div class="tools">
        <h2>List</h2>
        <Choice
          label="Order"
          options={ORDERS}
          value={order}
          onChange={(next) => setQuery({ order: next, after: null })}
        />
        <Choice
          label="Which"
          options={[
            ['all', 'All'],
            ['slots', 'Slots'],
            ['dead', 'Dead'],
          ]}
          value={which}
          onChange={(next) => setQuery({ which: next, after: null })}
        />
      </div>
      {error && <Failed message={error.message} again={again} />}
      {page && page.totalCount === 0 && <Empty title="None is of this kind" />}
      {page && page.totalCount > 0 && <Rows rows={page.edges.map(({ node }) => node)} base={base} />}
      {page && (
        <p class="tools">
          {after && (
            <button type="button" class="small" onClick={() => setQuery({ after: null }, 'push')}>
              First page
            </button>
          )}
          {page.pageInfo.hasNextPage && (
            <button
              type="button"
              class="small"
              onClick={() => setQuery({ after: page.pageInfo.endCursor }, 'push')}
            >
              Next 25
            </button>
          )}
          <span class="quiet">{page.totalCount} in all</span>
        </p>
      )}
    </section>
  );
}

function Rows({ rows, base }: { rows: LatentRowFragment[]; base: string }) {
  return (
    <Scroll label="Latents">
      <table>
        <thead>
          <tr>
            <th scope="col">Latent</th>
            <th scope="col" class="number">
              Density
            </th>
            <th scope="col" class="number">
              Mean
            </th>
            <th scope="col" class="number">
              Maximum
            </th>
            <th scope="col">Tells best</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((latent) => {
            const best = bestOf(latent);
            return (
              <tr key={latent.index}>
                <th scope="row">
                  <a href={`${base}/${latent.index}`}>
                    {latent.index}
                    {latent.concept && `, slot ${latent.concept.label}`}
                  </a>
                </th>
                <td class="number">{share(latent.firingRate.value)}</td>
                <td class="number">{number(latent.mean)}</td>
                <td class="number">{number(latent.max)}</td>
                <td>
                  {best && best.value > 0 ? (
                    <>
                      {best.label} <span class="quiet">{share(best.value)}</span>
                    </>
                  ) : (
                    '–'
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

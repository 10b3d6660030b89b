/** One dataset: what it asks about, its prompts by concept and split, its facts. */
import { DatasetDetail, type DatasetDetailQuery, type Split } from '../api/documents.ts';
import { words } from '../format.ts';
import { Scroll } from '../parts/scroll.tsx';
import { Search } from '../parts/search.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';

type Detail = Extract<NonNullable<DatasetDetailQuery['node']>, { __typename: 'Dataset' }>;

export function Dataset({ id }: { id: string }) {
  const concept = query.value.get('concept');
  const split = query.value.get('split') as Split | null;
  const after = query.value.get('after');
  const { data, error, again } = useQuery(DatasetDetail, {
    ...{ id, first: 25, after, concept, split, text: query.value.get('text') },
    fact: query.value.get('fact'),
  });
  if (!data) return <Waiting what="Loading the dataset" error={error} again={again} />;
  const dataset = data.node?.__typename === 'Dataset' ? data.node : null;
  if (!dataset)
    return <Failed isWhole title="There is no such dataset" message="It may have been deleted." />;
  return (
    <>
      <div class="title">
        <h1>{dataset.name}</h1>
        <span class="quiet">{words(dataset.kind)}</span>
      </div>
      {dataset.notes && <p class="notes">{dataset.notes}</p>}
      <Examples dataset={dataset} concept={concept} split={split} />
      <Facts dataset={dataset} />
    </>
  );
}

function Examples({
  dataset,
  concept,
  split,
}: {
  dataset: Detail;
  concept: string | null;
  split: Split | null;
}) {
  const { edges, totalCount, pageInfo } = dataset.examples;
  const choose = (name: string) => (event: { currentTarget: { value: string } }) =>
    setQuery({ [name]: event.currentTarget.value || null, after: null });
  return (
    <section>
      <div class="tools">
        <h2>Prompts</h2>
        <Search label="Search prompts" hint="prompt or answer" />
        <select aria-label="Concept" value={concept ?? ''} onChange={choose('concept')}>
          <option value="">All concepts</option>
          {dataset.ontology.concepts.map(({ id, label }) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </select>
        <select aria-label="Split" value={split ?? ''} onChange={choose('split')}>
          <option value="">All splits</option>
          {dataset.splits.map(({ name, size }) => (
            <option key={name} value={name}>
              {words(name)} ({size})
            </option>
          ))}
        </select>
        <span class="quiet">{totalCount}</span>
      </div>
      {edges.length === 0 && <Empty title="No prompt is of this kind" />}
      {edges.length > 0 && (
        <Scroll label="Prompts">
          <table>
            <thead>
              <tr>
                <th scope="col">Prompt</th>
                <th scope="col">Answer</th>
                <th scope="col">About</th>
                <th scope="col">Split</th>
              </tr>
            </thead>
            <tbody>
              {edges.map(({ node }) => (
                <tr key={node.id}>
                  <th scope="row">{node.prompt}</th>
                  <td>{node.answer ?? '–'}</td>
                  <td>{node.concepts.map(({ label }) => label).join(', ')}</td>
                  <td>{words(node.split)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {pageInfo.hasNextPage && (
        <button type="button" class="small" onClick={() => setQuery({ after: pageInfo.endCursor }, 'push')}>
          Next 25
        </button>
      )}
    </section>
  );
}

function Facts({ dataset }: { dataset: Detail }) {
  const { edges, totalCount } = dataset.facts;
  if (totalCount === 0 && !query.value.has('fact')) return null;
  return (
    <section>
      <div class="tools">
        <h2>Facts</h2>
        <Search label="Search facts" hint="entity or value" name="fact" />
        <span class="quiet">
          {edges.length < totalCount ? `the first ${edges.length} of ${totalCount}` : totalCount}
        </span>
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">Entity</th>
            <th scope="col">Concept</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {edges.map(({ node }) => (
            <tr key={node.id}>
              <th scope="row">{node.entity}</th>
              <td>{node.concept.label}</td>
              <td>{node.value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

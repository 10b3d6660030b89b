/** The datasets that there are, and how to bring another. */
import { useSignal } from '@preact/signals';
import {
  Datasets as DatasetsDocument,
  type DatasetsQuery,
  DeleteDataset,
  ImportDataset,
} from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { upload } from '../api/upload.ts';
import { ago, bytes, words } from '../format.ts';
import { Delete } from '../parts/delete.tsx';
import { Progress } from '../parts/run.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Search } from '../parts/search.tsx';
import { Empty, Waiting } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { now, useQuery } from '../state/query.ts';

type Dataset = DatasetsQuery['datasets']['edges'][number]['node'];

export function Datasets() {
  const after = query.value.get('after');
  const text = query.value.get('text');
  const { data, error, again } = useQuery(DatasetsDocument, { first: 50, after, text });
  if (!data) return <Waiting what="Loading datasets" error={error} again={again} />;
  const { edges, totalCount, pageInfo } = data.datasets;
  return (
    <>
      <div class="title">
        <h1>Datasets</h1>
        <span class="quiet">{totalCount}</span>
        <Search label="Search datasets" hint="name, note, tag" />
      </div>
      {edges.length === 0 && text ? (
        <Empty title="No dataset has these words" />
      ) : edges.length === 0 ? (
        <Empty title="No datasets yet">
          <p>
            Generate one on the <a href="/app">list of runs</a>, or import your own below.
          </p>
        </Empty>
      ) : (
        <Scroll label="Datasets">
          <table>
            <thead>
              <tr>
                <th scope="col">Dataset</th>
                <th scope="col">Kind</th>
                <th scope="col">Ontology</th>
                <th scope="col">Examples</th>
                <th scope="col" class="number">
                  Storage
                </th>
                <th scope="col">Made</th>
                <th scope="col">
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {edges.map(({ node }) => (
                <Row key={node.id} dataset={node} again={again} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {pageInfo.hasNextPage && (
        <button type="button" class="small" onClick={() => setQuery({ after: pageInfo.endCursor }, 'push')}>
          Older
        </button>
      )}
      <Import done={again} />
    </>
  );
}

function Row({ dataset, again }: { dataset: Dataset; again(): void }) {
  const { id, name, kind, ontology, splits, storage } = dataset;
  return (
    <tr>
      <th scope="row">
        <a href={`/app/datasets/${encodeURIComponent(id)}`}>{name}</a>
        {dataset.notes && <div class="quiet">{dataset.notes}</div>}
      </th>
      <td>{words(kind)}</td>
      <td title={ontology.concepts.map(({ label }) => label).join(', ')}>
        {ontology.slug} {ontology.version}, {ontology.concepts.length} concepts
      </td>
      <td>{splits.map(({ name: split, size }) => `${words(split)} ${size}`).join(', ')}</td>
      <td class="number">{bytes(storage)}</td>
      <td class="quiet">{ago(dataset.createdAt, now.value)}</td>
      <td>
        <Delete
          name={name}
          storage={storage}
          done={again}
          act={async (cascade) => (await request(DeleteDataset, { input: { id, cascade } })).deleteDataset}
        />
      </td>
    </tr>
  );
}

function Import({ done }: { done(): void }) {
  const fault = useSignal('');
  /** How much of the file is sent, 0–1; null while nothing is. */
  const sent = useSignal<number | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(form.get('name')).trim();
    fault.value = '';
    sent.value = 0;
    try {
      const input = { files: [null], ...(name ? { name } : {}) };
      const { importDataset } = await upload(
        ImportDataset,
        { input } as never,
        form.get('file') as File,
        (share) => {
          sent.value = share;
        },
      );
      if ('message' in importDataset) fault.value = importDataset.message;
      else done();
    } catch (error) {
      fault.value = (error as Error).message;
    }
    sent.value = null;
  };
  return (
    <section>
      <h2>Import a dataset</h2>
      <p class="quiet">
        A JSONL file of an ontology, facts and prompts. What is wrong with it is said with the line and the
        field.
      </p>
      <form class="fields" onSubmit={submit}>
        <label class="wide">
          File
          <input type="file" name="file" accept=".jsonl,.json,application/jsonl" required />
        </label>
        <label>
          Name
          <input name="name" maxLength={200} />
        </label>
        <button type="submit" disabled={sent.value !== null}>
          Import
        </button>
      </form>
      {sent.value !== null && (
        <p class="quiet" role="status">
          <Progress value={sent.value} label="Sent" /> {sent.value < 1 ? 'Sending…' : 'Reading and checking…'}
        </p>
      )}
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
    </section>
  );
}

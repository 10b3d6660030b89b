/** The models that there are, where they come from, and how to bring another. */
import { useSignal } from '@preact/signals';
import { DeleteModel, ImportModel, Models as ModelsDocument, type ModelsQuery } from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { ago, bytes, number, share } from '../format.ts';
import { Delete } from '../parts/delete.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Search } from '../parts/search.tsx';
import { Empty, Waiting } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { now, useQuery } from '../state/query.ts';
import { Imports } from './imports.tsx';

type Model = ModelsQuery['models']['edges'][number]['node'];

export function Models() {
  const after = query.value.get('after');
  const text = query.value.get('text');
  const { data, error, again } = useQuery(ModelsDocument, { first: 50, after, text });
  if (!data) return <Waiting what="Loading models" error={error} again={again} />;
  const { edges, totalCount, pageInfo } = data.models;
  return (
    <>
      <div class="title">
        <h1>Models</h1>
        <span class="quiet">{totalCount}</span>
        <Search label="Search models" hint="name, note, tag" />
      </div>
      {edges.length === 0 && text ? (
        <Empty title="No model has these words" />
      ) : edges.length === 0 ? (
        <Empty title="No models yet">
          <p>
            Train one on the <a href="/app">list of runs</a>, or import one below.
          </p>
        </Empty>
      ) : (
        <Table models={edges.map(({ node }) => node)} again={again} />
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

function Table({ models, again }: { models: Model[]; again(): void }) {
  return (
    <Scroll label="Models">
      <table>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">Architecture</th>
            <th scope="col" class="number">
              Parameters
            </th>
            <th scope="col">Data</th>
            <th scope="col" class="number">
              Held out
            </th>
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
          {models.map((model) => (
            <Row key={model.id} model={model} again={again} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Row({ model, again }: { model: Model; again(): void }) {
  const { config, source, run, dataset } = model;
  return (
    <tr>
      <th scope="row">
        {run ? <a href={`/app/runs/${encodeURIComponent(run.id)}`}>{model.name}</a> : model.name}{' '}
        {model.tags.map((tag) => (
          <span class="tag" key={tag}>
            {tag}
          </span>
        ))}
        {source && <div class="quiet">from {source.repo ?? source.path}</div>}
        {model.notes && <div class="quiet">{model.notes}</div>}
        <details>
          <summary>Files</summary>
          {model.files.map(({ name, url }) => (
            <a key={url} href={url} download class="file">
              {name}
            </a>
          ))}
        </details>
      </th>
      <td>
        {config.architecture}, {config.nLayers} layers, width {config.dModel}
      </td>
      <td class="number">{number(model.nParams)}</td>
      <td>
        {dataset ? <a href={`/app/datasets/${encodeURIComponent(dataset.id)}`}>{dataset.name}</a> : '–'}
      </td>
      <td class="number">{share(model.heldOut)}</td>
      <td class="number">{bytes(model.storage)}</td>
      <td class="quiet">{ago(model.createdAt, now.value)}</td>
      <td>
        <Delete
          name={model.name}
          storage={model.storage}
          done={again}
          act={async (cascade) =>
            (await request(DeleteModel, { input: { id: model.id, cascade } })).deleteModel
          }
        />
      </td>
    </tr>
  );
}

function Import({ done }: { done(): void }) {
  const state = useSignal({ fault: '', isBusy: false });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const place = String(form.get('place')).trim();
    const name = String(form.get('name')).trim();
    state.value = { fault: '', isBusy: true };
    try {
      const where = form.get('from') === 'path' ? { path: place } : { repo: place };
      const { importModel } = await request(ImportModel, { input: { ...where, ...(name ? { name } : {}) } });
      state.value = { fault: 'message' in importModel ? importModel.message : '', isBusy: false };
      if (!('message' in importModel)) done();
    } catch (error) {
      state.value = { fault: (error as Error).message, isBusy: false };
    }
  };
  return (
    <section>
      <h2>Import a model</h2>
      <form class="fields" onSubmit={submit}>
        <label>
          From
          <select name="from">
            <option value="repo">Hugging Face</option>
            <option value="path">a directory of the server</option>
          </select>
        </label>
        <label class="wide">
          Repository, or path below IMPORT_DIR
          <input name="place" required placeholder="HuggingFaceTB/SmolLM2-135M" />
        </label>
        <label>
          Name
          <input name="name" maxLength={200} />
        </label>
        <button type="submit" disabled={state.value.isBusy}>
          {state.value.isBusy ? 'Importing…' : 'Import'}
        </button>
      </form>
      {state.value.isBusy && (
        <p class="quiet" role="status">
          Weights are read, checked and stored; a large model takes some minutes.
        </p>
      )}
      <Imports isBusy={state.value.isBusy} done={done} />
      {state.value.fault && (
        <p class="fault" role="alert">
          {state.value.fault}
        </p>
      )}
    </section>
  );
}

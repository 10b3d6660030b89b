/** Any text through the SAE: which slots fire on which token, and which other latents. */
import { useSignal } from '@preact/signals';
import { Activations, type ActivationsQuery, PromptView, SwapPrompts } from '../api/documents.ts';
import { scheme } from '../charts/colors.ts';
import { ramp } from '../charts/ramp.ts';
import { number } from '../format.ts';
import { isOver } from '../parts/run.tsx';
import { RunFrame } from '../parts/runFrame.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Empty, Failed, Loading, Waiting } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';

export function Prompt({ id }: { id: string }) {
  const { data, error, again } = useQuery(PromptView, { id });
  if (!data) return <Waiting what="Loading the run" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  const sae = 'sae' in run ? run.sae : null;
  return (
    <RunFrame what="A text through" run={run}>
      {sae ? (
        <Reader
          sae={sae.id}
          dataset={run.dataset.id}
          concepts={run.kind === 'ALIGNMENT' ? run.dataset.ontology.concepts : []}
          base={`/app/runs/${encodeURIComponent(run.id)}/latents`}
        />
      ) : (
        <Empty title={isOver(run.status) ? 'There is no SAE' : 'Not yet'}>
          <p>Texts are read when the alignment has succeeded.</p>
        </Empty>
      )}
    </RunFrame>
  );
}

interface ReaderProps {
  sae: string;
  dataset: string;
  concepts: readonly { id: string; key: string; label: string }[];
  base: string;
}

function Reader({ sae, dataset, concepts, base }: ReaderProps) {
  const given = query.value.get('text');
  const first = useQuery(
    SwapPrompts,
    given === null ? { dataset, concept: null, split: 'TEST_OOD', first: 1 } : null,
  );
  const sample =
    first.data?.node && 'examples' in first.data.node ? first.data.node.examples.edges[0]?.node.prompt : null;
  const text = given ?? sample ?? '';
  const draft = useSignal<string | null>(null);
  const { data, error, isLoading, again } = useQuery(
    Activations,
    text.trim() === '' ? null : { saeId: sae, text },
  );
  return (
    <>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ text: draft.peek() ?? text }, 'push');
        }}
      >
        <label class="wide">
          Text
          <textarea
            rows={3}
            value={draft.value ?? text}
            onInput={(event) => (draft.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          Read
        </button>
      </form>
      {error && <Failed title="The text could not be read" message={error.message} again={again} />}
      {!data && isLoading && <Loading what="Reading" />}
      {data && !error && (
        <>
          {concepts.length > 0 && <Heat tokens={data.activations.tokens} concepts={concepts} />}
          <Top tokens={data.activations.tokens} base={base} />
        </>
      )}
    </>
  );
}

type Tokens = ActivationsQuery['activations']['tokens'];

function Heat({ tokens, concepts }: { tokens: Tokens; concepts: ReaderProps['concepts'] }) {
  scheme.value;
  const slotAt = (i: number, key: string) =>
    tokens[i]!.latents.find(({ latent }) => latent.concept?.key === key)?.activation ?? 0;
  return (
    <section>
      <h2>Slots on each token</h2>
      <Scroll label="Slots on each token">
        <table class="heat">
          <thead>
            <tr>
              <th scope="col">
                <span class="hidden">Slot</span>
              </th>
              {tokens.map(({ text }, i) => (
                <th scope="col" key={i}>
                  {text.trim() || '·'}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {concepts.map(({ key, label }) => (
              <tr key={key}>
                <th scope="row">{label}</th>
                {tokens.map((_, i) => (
                  <td key={i} style={ramp(slotAt(i, key))}>
                    {slotAt(i, key) >= 0.005 ? slotAt(i, key).toFixed(2) : ''}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p class="quiet">A bound slot is near 1 where its concept is asked for, and 0 elsewhere.</p>
    </section>
  );
}

const SHOWN = 6;

function Top({ tokens, base }: { tokens: Tokens; base: string }) {
  return (
    <section>
      <h2>Strongest latents of each token</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Token</th>
            <th scope="col">Latents</th>
          </tr>
        </thead>
        <tbody>
          {tokens.map(({ text, latents }, i) => (
            <tr key={i}>
              <th scope="row">
                <code>{text.trim() || '·'}</code>
              </th>
              <td>
                <ul class="tokens">
                  {latents.slice(0, SHOWN).map(({ activation, latent: { index, concept } }) => (
                    <li key={index}>
                      <a href={`${base}/${index}`}>{concept ? concept.label : index}</a>{' '}
                      <span class="quiet">{number(activation)}</span>
                    </li>
                  ))}
                  {latents.length === 0 && <li class="quiet">none fires</li>}
                </ul>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

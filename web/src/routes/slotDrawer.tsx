/** One slot beside the matrix: how well it is bound, what it fires on, what it writes. */
import { useEffect, useRef } from 'preact/hooks';
import { SlotDrawer as SlotDocument } from '../api/documents.ts';
import { number, share } from '../format.ts';
import { Failed, Loading } from '../parts/states.tsx';
import { useQuery } from '../state/query.ts';

export function SlotDrawer({ run, concept, close }: { run: string; concept: string; close(): void }) {
  const { data, error, again } = useQuery(SlotDocument, { id: run });
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.show(), []);
  const slots = data?.run && 'slots' in data.run ? data.run.slots.edges : [];
  const slot = slots.find(({ node }) => node.concept.key === concept)?.node;
  return (
    <dialog
      ref={dialog}
      class="drawer"
      aria-labelledby="slot-title"
      onClose={close}
      onKeyDown={(event) => event.key === 'Escape' && dialog.current?.close()}
    >
      <div class="title">
        <h2 id="slot-title">Slot {slot ? slot.concept.label : concept}</h2>
        <button type="button" class="small" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
      {error && <Failed message={error.message} again={again} />}
      {!data && !error && <Loading />}
      {data && !slot && <p class="quiet">This run has no such slot.</p>}
      {slot && (
        <>
          {slot.concept.description && <p>{slot.concept.description}</p>}
          <dl class="facts">
            <div>
              <dt>Latent</dt>
              <dd>{slot.index}</dd>
            </div>
            <div>
              <dt>Bound, held out</dt>
              <dd>{share(slot.heldOut)}</dd>
            </div>
            <div>
              <dt>Bound, validation</dt>
              <dd>{share(slot.validation)}</dd>
            </div>
            <div>
              <dt>Bound, training</dt>
              <dd>{share(slot.train)}</dd>
            </div>
          </dl>
          <h3>It raises</h3>
          <ul class="tokens">
            {slot.topTokens.map(({ token, score }) => (
              <li key={token}>
                <code>{token}</code> <span class="quiet">{number(score)}</span>
              </li>
            ))}
          </ul>
          <h3>It fires most on</h3>
          <ul class="plain one">
            {slot.topExamples.map(({ prompt, activation }) => (
              <li key={prompt}>
                <span class="figure quiet">{number(activation)}</span> {prompt}
              </li>
            ))}
          </ul>
        </>
      )}
    </dialog>
  );
}

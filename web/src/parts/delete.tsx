/** Deleting: asked for twice, and where something rests on the thing, only after it was said what. */
import { useSignal } from '@preact/signals';
import { bytes, words } from '../format.ts';

export interface DeleteReply {
  message?: string;
  freedBytes?: number;
  dependants?: readonly { id: string; type: string; name: string | null }[];
}

export function Delete({
  name,
  storage,
  act,
  done,
}: {
  name: string;
  storage: number;
  act(cascade: boolean): Promise<DeleteReply>;
  done(): void;
}) {
  const isAsked = useSignal(false);
  const reply = useSignal<DeleteReply>({});
  const dependants = reply.value.dependants ?? [];
  const press = async (cascade: boolean) => {
    try {
      reply.value = await act(cascade);
      if (reply.value.message === undefined) done();
    } catch (error) {
      reply.value = { message: (error as Error).message };
    }
  };
  if (!isAsked.value)
    return (
      <button
        type="button"
        class="small"
        aria-label={`Delete ${name}`}
        onClick={() => (isAsked.value = true)}
      >
        Delete
      </button>
    );
  return (
    <div class="confirm" role="alert">
      {dependants.length > 0 ? (
        <>
          <p>On it rest {dependants.length === 1 ? 'one thing' : `${dependants.length} things`}:</p>
          <ul>
            {dependants.slice(0, 8).map(({ id, type, name: other }) => (
              <li key={id}>
                {words(type)} {other}
              </li>
            ))}
          </ul>
        </>
      ) : (
        <p>
          {reply.value.message ?? `Delete ${name}? It frees up to ${bytes(storage)} and cannot be undone.`}
        </p>
      )}
      <button type="button" class="small" onClick={() => press(dependants.length > 0)}>
        {dependants.length > 0 ? 'Delete all of it' : 'Delete'}
      </button>{' '}
      <button
        type="button"
        class="small"
        onClick={() => {
          isAsked.value = false;
          reply.value = {};
        }}
      >
        Keep
      </button>
    </div>
  );
}

/** The model speaks on, and is steered while it does: a change of target goes on from what has been said. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Generation } from '../api/documents.ts';
import { follow } from '../api/live.ts';
import { share } from '../format.ts';
import type { ConceptName, Swap } from './swap.tsx';

interface Said {
  text: string;
  probability: number;
  /** The concept that was on; null where it spoke by itself. */
  steer: string | null;
}

const LONGEST = 120;

export function Speech({
  run,
  swap,
  concepts,
}: {
  run: string;
  swap: Swap;
  concepts: readonly ConceptName[];
}) {
  const said = useSignal<Said[]>([]);
  const steer = useSignal<string | null>(null);
  const isSpeaking = useSignal(false);
  const fault = useSignal('');
  const stop = useRef<() => void>(() => undefined);
  const silence = () => {
    stop.current();
    isSpeaking.value = false;
  };
  useEffect(() => silence, []);
  useEffect(() => {
    silence();
    said.value = [];
  }, [swap.prompt]);

  const clear = () => {
    silence();
    said.value = [];
  };
  const speak = (target: string | null) => {
    stop.current();
    steer.value = target;
    fault.value = '';
    const before = said.peek();
    if (before.length >= LONGEST) return void silence();
    isSpeaking.value = true;
    const text = swap.prompt + before.map((token) => token.text).join('');
    stop.current = follow({
      document: Generation,
      isOnce: true,
      variables: () => ({
        input: {
          runId: run,
          prompt: text,
          maxNewTokens: LONGEST - before.length,
          ...(target === null
            ? {}
            : { interventions: [{ targetConcept: target, alpha: swap.alpha, method: swap.method }] }),
        },
      }),
      next({ generation }) {
        if (generation.__typename === 'TokenGenerated')
          said.value = [
            ...said.peek(),
            { text: generation.text, probability: generation.probability, steer: target },
          ];
        return null;
      },
      end: () => {
        isSpeaking.value = false;
      },
      fail: ({ message }) => {
        fault.value = message;
        isSpeaking.value = false;
      },
    });
  };
  return (
    <section>
      <h2>Let it speak, and steer it</h2>
      <p class="quiet">
        It goes on from the prompt. Turn a concept on while it speaks: from that word on, its slot is set to
        alpha at every token.
      </p>
      <div class="tools">
        <button
          type="button"
          class="primary"
          disabled={!swap.prompt.trim()}
          onClick={() => (isSpeaking.value ? silence() : speak(steer.peek()))}
        >
          {isSpeaking.value ? 'Stop' : said.value.length > 0 ? 'Go on' : 'Speak'}
        </button>
        <fieldset class="choice">
          <legend>On</legend>
          <button type="button" aria-pressed={steer.value === null} onClick={() => turn(null)}>
            nothing
          </button>
          {concepts.map(({ key, label }) => (
            <button key={key} type="button" aria-pressed={steer.value === key} onClick={() => turn(key)}>
              {label}
            </button>
          ))}
        </fieldset>
        {said.value.length > 0 && (
          <button type="button" class="small" onClick={clear}>
            Clear
          </button>
        )}
      </div>
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
      <Text prompt={swap.prompt} said={said} concepts={concepts} />
    </section>
  );

  function turn(target: string | null): void {
    if (isSpeaking.peek()) speak(target);
    else steer.value = target;
  }
}

function Text({
  prompt,
  said,
  concepts,
}: {
  prompt: string;
  said: Signal<Said[]>;
  concepts: readonly ConceptName[];
}) {
  const label = (key: string | null) => concepts.find((concept) => concept.key === key)?.label;
  return (
    <p class="speech" aria-live="polite">
      <span class="quiet">{prompt}</span>
      {said.value.map(({ text, probability, steer }, i) => {
        const isTurn = steer !== (said.value[i - 1]?.steer ?? null);
        return (
          <span key={i} class={steer ? 'token steered' : 'token'} title={`probability ${share(probability)}`}>
            {isTurn && <small class="turn">{label(steer) ?? 'by itself'}</small>}
            {text}
          </span>
        );
      })}
    </p>
  );
}

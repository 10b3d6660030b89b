/** The model speaks on, and is steered while it does: a change of target goes on from what has been said. */
import { useEffect, useMemo } from 'preact/hooks';
import { share } from '../format.ts';
import { type Manner, Speaker } from '../state/speaker.ts';
import type { ConceptName } from './swap.tsx';

export function Speech({ concepts, ...manner }: { concepts: readonly ConceptName[] } & Manner) {
  const speaker = useMemo(() => new Speaker(), []);
  useEffect(() => () => speaker.silence(), []);
  useEffect(() => speaker.clear(), [manner.prompt]);
  const { said, steer, isSpeaking, fault, end } = speaker;
  const on = (key: string | null, label: string) => (
    <button
      key={label}
      type="button"
      aria-pressed={steer.value === key}
      onClick={() => speaker.turn(key, manner)}
    >
      {label}
    </button>
  );
  return (
    <section>
      <h2>Let it speak, and steer it</h2>
      <p class="quiet">
        It goes on from the prompt. Turn a concept on while it speaks: from that token on, the edit is made at
        each.
      </p>
      <div class="tools">
        <button
          type="button"
          class="primary"
          disabled={!manner.prompt.trim()}
          onClick={() => (isSpeaking.value ? speaker.silence() : speaker.speak(manner))}
        >
          {isSpeaking.value ? 'Stop' : said.value.length > 0 ? 'Go on' : 'Speak'}
        </button>
        <fieldset class="choice">
          <legend>On</legend>
          {on(null, 'nothing')}
          {concepts.map(({ key, label }) => on(key, label))}
        </fieldset>
        {said.value.length > 0 && (
          <button type="button" class="small" onClick={() => speaker.clear()}>
            Clear
          </button>
        )}
      </div>
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
      <p class="speech" aria-live="polite">
        <span class="quiet">{manner.prompt}</span>
        {said.value.map(({ text, probability, steer: by }, i) => {
          const isTurn = by !== (said.value[i - 1]?.steer ?? null);
          const label = concepts.find(({ key }) => key === by)?.label ?? 'by itself';
          return (
            <span key={i} class={by ? 'token steered' : 'token'} title={`probability ${share(probability)}`}>
              {isTurn && <small class="turn">{label}</small>}
              {text}
            </span>
          );
        })}
        {end.value && <small class="quiet end"> {end.value}</small>}
      </p>
    </section>
  );
}

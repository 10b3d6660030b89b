/** Walking along moments of a training: by hand, or played like a film. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** Long enough to see what has changed. */
const FRAME_MS = 500;

export function Scrubber({
  label,
  steps,
  at,
  until,
  isReady = true,
  show,
}: {
  /** What is walked along. */
  label: string;
  /** At least one. */
  steps: readonly number[];
  /** Which of `steps` is shown. */
  at: number;
  /** The last step that there will be. */
  until: number;
  /** Whether what `at` says is in sight; the film waits for it. */
  isReady?: boolean;
  show(at: number): void;
}) {
  const isPlaying = useSignal(false);
  const last = steps.length - 1;
  useEffect(() => {
    if (!isPlaying.value || !isReady) return;
    const timer = setTimeout(() => {
      if (at < last) show(at + 1);
      else isPlaying.value = false;
    }, FRAME_MS);
    return () => clearTimeout(timer);
  }, [isPlaying.value, isReady, at, last]);
  const play = () => {
    if (at === last) show(0);
    isPlaying.value = !isPlaying.peek();
  };
  return (
    <div class="tools">
      <button type="button" class="primary" onClick={play} disabled={last === 0}>
        {isPlaying.value ? 'Pause' : 'Play'}
      </button>
      <label class="scrubber">
        <span class="hidden">{label}</span>
        <input
          type="range"
          min={0}
          max={last}
          value={at}
          aria-valuetext={`step ${steps[at]}`}
          onInput={(event) => show(Number(event.currentTarget.value))}
        />
      </label>
      <output class="figure">
        step {steps[at]} of {until}
      </output>
    </div>
  );
}

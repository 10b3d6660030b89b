/** Colours of the page as canvases need them, read from its style sheet and read again when light turns to dark. */
import { signal } from '@preact/signals';

/** Counts up when the colours are others. */
export const scheme = signal(0);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  scheme.value += 1;
});

/** Whether figures have the width of a phone: their text must not shrink with them. */
export const isNarrow = signal(false);
const phone = matchMedia('(max-width: 640px)');
const measure = () => {
  isNarrow.value = phone.matches;
};
phone.addEventListener('change', measure);
measure();

let probe: HTMLElement | null = null;

/** The colour behind a custom property, such as `--accent`. */
export function color(name: string): string {
  if (!probe) {
    probe = document.createElement('i');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

export const SERIES_COLORS = [
  '--series-1',
  '--series-2',
  '--series-3',
  '--series-4',
  '--series-5',
  '--series-6',
];

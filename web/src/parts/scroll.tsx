/** What is wider or longer than its place: it scrolls within, by keys too. */
import type { ComponentChildren } from 'preact';

export function Scroll({
  label,
  style,
  children,
}: {
  label: string;
  style?: Record<string, string>;
  children: ComponentChildren;
}) {
  return (
    <section
      class="scroll"
      style={style}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
      tabIndex={0}
    >
      {children}
    </section>
  );
}

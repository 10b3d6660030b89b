/** One of a few: buttons side by side that say which is on. */
export function Choice<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly (readonly [T, string])[];
  value: T;
  onChange(next: T): void;
}) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      {options.map(([key, text]) => (
        <button key={key} type="button" aria-pressed={key === value} onClick={() => onChange(key)}>
          {text}
        </button>
      ))}
    </fieldset>
  );
}

export const SPLITS = [
  ['TEST_OOD', 'Held-out phrasings'],
  ['VALIDATION', 'Validation'],
  ['TRAIN', 'Training'],
] as const;

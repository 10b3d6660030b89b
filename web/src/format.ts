/** Numbers, times and names as people read them. */

const SI = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

/** Four digits at most: 0.0123, 1.234, 12.3k. */
export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 10_000) return String(value);
  for (const [unit, sign] of SI) if (size >= unit * 9.9995) return `${trim(value / unit, digits)}${sign}`;
  if (size !== 0 && size < 1e-3) return value.toExponential(1).replace('e-', 'e−');
  return trim(value, digits);
}

function trim(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits))).replace('-', '−');
}

/** A share as the paper writes it: .97, 1.00. */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value
    .toFixed(2)
    .replace(/^(-?)0\./, '$1.')
    .replace('-', '−');
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  const power = Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${(value / 1024 ** power).toPrecision(3)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
}

/** How long ago, in one unit. */
export function ago(date: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(date)) / 1000);
  if (seconds < 45) return 'just now';
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(date).toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' });
}

export function clock(date: string): string {
  return new Date(date).toLocaleTimeString(undefined, { hour12: false });
}

/** `TEST_OOD` → `Test OOD`, `ALIGNMENT_SWEEP` → `Alignment sweep`. */
export function words(name: string): string {
  const text = name.toLowerCase().replaceAll('_', ' ');
  return (text[0]!.toUpperCase() + text.slice(1)).replace(/\bood\b/, 'OOD').replace(/^Mse$/, 'MSE');
}

/** The start of the id within a global id, to tell things without a name apart. */
export function shortId(id: string): string {
  try {
    return atob(id).split(':')[1]!.slice(0, 6);
  } catch {
    return id.slice(0, 6);
  }
}

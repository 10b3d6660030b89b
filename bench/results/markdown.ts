/** Figures and tables in Markdown. */
import { wilsonInterval } from '../../src/stats.ts';

export type Row = readonly (string | number)[];

/** A share of trials as the API tells it. */
export interface Rate {
  trials: number;
  successes: number;
  value: number | null;
  interval: { low: number; high: number } | null;
}

/** All trials together. */
export function pooled(rates: readonly { trials: number; successes: number }[]): Rate {
  const sum = (key: 'trials' | 'successes') => rates.reduce((total, rate) => total + rate[key], 0);
  const [trials, successes] = [sum('trials'), sum('successes')];
  return {
    trials,
    successes,
    value: trials ? successes / trials : null,
    interval: wilsonInterval(successes, trials),
  };
}

/** With its interval. */
export function show({ value, interval }: Rate): string {
  return value === null ? '–' : `${share(value)} [${share(interval!.low)}, ${share(interval!.high)}]`;
}

/** Three decimals; a dash where there is none. */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  return value.toFixed(3).replace(/^(-?)0\./, '$1.');
}

export function markdown(head: readonly string[], ...rows: readonly Row[]): string {
  const line = (cells: Row) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Statistics that stand beside measured rates. */

/** How many of so many trials came out so. */
export interface Share {
  successes: number;
  trials: number;
}

export interface Interval {
  low: number;
  high: number;
}

/** Two-sided 95% quantile of the normal distribution. */
const Z = 1.959963984540054;

/**
 * The 95% Wilson score interval of a share (Wilson 1927): unlike the normal approximation it stays within 0–1 and
 * has a width even where all or none succeeded. Null without trials.
 */
export function wilsonInterval(successes: number, trials: number): Interval | null {
  if (trials === 0) return null;
  const share = successes / trials;
  const z2 = (Z * Z) / trials;
  const centre = share + z2 / 2;
  const margin = Z * Math.sqrt((share * (1 - share) + z2 / 4) / trials);
  // Rounding must not push a bound beyond what it bounds.
  const low = successes === 0 ? 0 : (centre - margin) / (1 + z2);
  const high = successes === trials ? 1 : (centre + margin) / (1 + z2);
  return { low, high };
}

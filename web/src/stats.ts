/** Uncertainty of shares that the page works out itself, as the server does. */

const Z = 1.959963984540054;

/** The 95% Wilson score interval; null without trials. */
export function wilson(successes: number, trials: number): { low: number; high: number } | null {
  if (trials === 0) return null;
  const p = successes / trials;
  const z2 = (Z * Z) / trials;
  const margin = Z * Math.sqrt((p * (1 - p) + z2 / 4) / trials);
  const centre = p + z2 / 2;
  return {
    low: successes === 0 ? 0 : (centre - margin) / (1 + z2),
    high: successes === trials ? 1 : (centre + margin) / (1 + z2),
  };
}

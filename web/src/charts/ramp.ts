/** A sequential ramp from the ground to the accent's darkest (by night: lightest) tone, and ink that can be read on it. */

type Rgb = [number, number, number];

const RAMPS: Record<'light' | 'dark', [Rgb, Rgb]> = {
  light: [
    [246, 248, 251],
    [8, 53, 122],
  ],
  dark: [
    [26, 31, 38],
    [184, 214, 255],
  ],
};

const night = matchMedia('(prefers-color-scheme: dark)');

/** The colours of a cell with this share, 0–1; lightness falls (by night: rises) evenly, so it needs no colour vision. */
export function ramp(share: number): { background: string; color: string } {
  const [from, to] = RAMPS[night.matches ? 'dark' : 'light'];
  const at = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  const rgb = from.map((low, i) => Math.round(low + (to[i]! - low) * at)) as Rgb;
  return { background: `rgb(${rgb.join(' ')})`, color: luminance(rgb) > 0.179 ? '#000' : '#fff' };
}

/** WCAG 2's relative luminance; black and white meet the same contrast, 4.6, at 0.179. */
function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((value) => {
    const c = value / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

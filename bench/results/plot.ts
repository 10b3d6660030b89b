/** Line charts as SVG, each written twice: dark on light and light on dark. */
import { mkdir, writeFile } from 'node:fs/promises';

export interface Line {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** What others measured is dashed. */
  isTheirs?: boolean;
}

export interface Chart {
  title: string;
  xLabel: string;
  yLabel: string;
  /** Ticks of x, at least two; of a logarithmic axis above 0. Points outside of them are drawn at the edge. */
  ticks: readonly number[];
  isLog?: boolean;
  /** From 0 to 1 in y. */
  lines: readonly Line[];
}

const [WIDTH, HEIGHT] = [700, 320];
const AREA = { left: 52, right: 450, top: 36, bottom: 268 };
const THEMES = {
  light: {
    ink: '#1f2328',
    faint: '#d1d9e0',
    paper: '#ffffff',
    colours: ['#0969da', '#bc4c00', '#1a7f37', '#8250df', '#57606a'],
  },
  dark: {
    ink: '#f0f6fc',
    faint: '#3d444d',
    paper: '#0d1117',
    colours: ['#4493f8', '#db6d28', '#3fb950', '#ab7df8', '#9198a1'],
  },
} as const;

/** Writes `<name>-light.svg` and `<name>-dark.svg` into the folder `images` beside the report; returns the Markdown that shows one of them. */
export async function writeChart(name: string, chart: Chart, folder: URL): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const theme of ['light', 'dark'] as const)
    await writeFile(new URL(`${name}-${theme}.svg`, folder), draw(chart, theme));
  const source = `<source media="(prefers-color-scheme: dark)" srcset="images/${name}-dark.svg">`;
  return `<picture>${source}<img alt="${escaped(chart.title)}" src="images/${name}-light.svg"></picture>`;
}

export function draw(
  { title, xLabel, yLabel, ticks, isLog = false, lines }: Chart,
  theme: keyof typeof THEMES,
): string {
  const { ink, faint, paper, colours } = THEMES[theme];
  const scale = (value: number) => (isLog ? Math.log(Math.max(value, ticks[0]!)) : value);
  const [from, to] = [scale(ticks[0]!), scale(ticks.at(-1)!)];
  const share = (value: number) => Math.min(1, Math.max(0, (scale(value) - from) / (to - from)));
  const x = (value: number) => (AREA.left + share(value) * (AREA.right - AREA.left)).toFixed(1);
  const y = (value: number) => (AREA.bottom - value * (AREA.bottom - AREA.top)).toFixed(1);
  const text = (at: string, content: string, more = '') =>
    `<text ${at} fill="${ink}" font-family="sans-serif" font-size="12" ${more}>${escaped(content)}</text>`;
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
    `<line x1="${AREA.left}" x2="${AREA.right}" y1="${y(value)}" y2="${y(value)}" stroke="${faint}"/>`,
    text(`x="${AREA.left - 8}" y="${Number(y(value)) + 4}"`, value.toFixed(2), 'text-anchor="end"'),
  ]);
  const axis = ticks.map((tick) =>
    text(`x="${x(tick)}" y="${AREA.bottom + 18}"`, tick.toLocaleString('en'), 'text-anchor="middle"'),
  );
  const drawn = lines.flatMap(({ name, points, isTheirs }, i) => {
    const colour = colours[i % colours.length]!;
    const dash = isTheirs ? ' stroke-dasharray="6 4"' : '';
    const path = points.map(([a, b]) => `${x(a)},${y(b)}`).join(' ');
    const row = AREA.top + 10 + 20 * i;
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
      ...points.map(([a, b]) => `<circle cx="${x(a)}" cy="${y(b)}" r="2.5" fill="${colour}"/>`),
      `<line x1="${AREA.right + 14}" x2="${AREA.right + 36}" y1="${row - 4}" y2="${row - 4}" stroke="${colour}" stroke-width="2"${dash}/>`,
      text(`x="${AREA.right + 42}" y="${row}"`, name),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="${paper}"/>`,
    text(`x="${AREA.left}" y="20"`, title, 'font-weight="bold"'),
    ...grid,
    ...axis,
    text(`x="${(AREA.left + AREA.right) / 2}" y="${HEIGHT - 12}"`, xLabel, 'text-anchor="middle"'),
    text(
      `x="14" y="${(AREA.top + AREA.bottom) / 2}"`,
      yLabel,
      `text-anchor="middle" transform="rotate(-90 14 ${(AREA.top + AREA.bottom) / 2})"`,
    ),
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

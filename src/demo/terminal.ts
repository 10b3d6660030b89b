/** What the demo prints: headings, tables, and a progress bar that is redrawn on a terminal and spoken elsewhere. */
const out = process.stdout;
const BAR_WIDTH = 28;

export function heading(text: string): void {
  out.write(`\n${bold(text)}\n`);
}

export function line(text = ''): void {
  out.write(`${text}\n`);
}

/** Columns are as wide as their widest cell; numbers align right. */
export function table(rows: (string | number)[][]): void {
  const cells = rows.map((row) => row.map(String));
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  for (const [r, row] of cells.entries()) {
    const text = row.map((cell, i) =>
      isNumeric(rows, i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
    );
    line(`  ${r === 0 ? bold(text.join('  ')) : text.join('  ')}`);
  }
}

export const percent = (share: number) => `${(100 * share).toFixed(1)}%`;

export interface ProgressBar {
  update(state: { phase: string; progress: number; loss: number | null; etaSeconds: number | null }): void;
  /** Ends the bar with what was reached. */
  finish(text: string): void;
}

/** On a terminal the line is redrawn; otherwise each phase and every quarter of the way is one line. */
export function progressBar(label: string): ProgressBar {
  let spoken = '';
  return {
    update({ phase, progress, loss, etaSeconds }) {
      const filled = Math.round(progress * BAR_WIDTH);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      const facts = [
        loss === null ? null : `loss ${loss.toFixed(4)}`,
        etaSeconds === null ? null : `${Math.ceil(etaSeconds)} s left`,
      ].filter(Boolean);
      const text = `  ${label} ${bar} ${percent(progress).padStart(6)} ${phase.toLowerCase()} ${facts.join(', ')}`;
      if (out.isTTY) out.write(`\r\x1b[2K${text}`);
      else if (spoken !== `${phase}${Math.floor(progress * 4)}`) line(text);
      spoken = `${phase}${Math.floor(progress * 4)}`;
    },
    finish(text) {
      if (out.isTTY) out.write('\r\x1b[2K');
      line(`  ${label} ${text}`);
    },
  };
}

function bold(text: string): string {
  return out.isTTY ? `\x1b[1m${text}\x1b[0m` : text;
}

function isNumeric(rows: (string | number)[][], column: number): boolean {
  return rows.slice(1).every((row) => /^[\d.–-]+%?$/.test(String(row[column])));
}

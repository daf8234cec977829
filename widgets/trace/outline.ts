// The order in which rows are shown: each below what it is part of. Of a long run, older steps make one line.

import type { Row } from "./protocol";

/** A row, and how deep it is in others. */
export interface Line {
  id: number;
  depth: number;
  row: Row;
  /** Of the line that stands for others: how many steps and rows. Its row is the first of them. */
  gap?: { steps: number; rows: number; start: number; end: number };
}

/** The id of the line that stands for others. */
export const GAP = -1;
/** From so many lines on, older steps are folded away: all but the first ones, and as many last as make enough lines. */
const MOST_LINES = 300;
const FIRST = 2;
const ENOUGH = 150;
/** They go so many at a time, because lines that move with every step can't be read. */
const AT_A_TIME = 20;

export interface Outline {
  lines: Line[];
  /** How many rows began after the run's end: calls that were run again. They don't show. */
  late: number;
}

/** Return what is to be shown of `rows`; with `whole`, nothing is folded away. */
export function outline(rows: Row[], whole: boolean): Outline {
  const run = rows[0];
  if (run === undefined) return { lines: [], late: 0 };
  const end = run.end ?? Infinity;
  const shown = rows.filter((row) => row.start <= end);
  const below = children(shown);
  const parts = (below.get(run.id) ?? []).map((row) => linesOf(row, 1, below));
  const count = parts.reduce((sum, part) => sum + part.length, 1);
  const folded = count > MOST_LINES ? parts.slice(FIRST, FIRST + foldable(parts)) : [];
  const lines = [{ id: run.id, depth: 0, row: run }, ...parts.slice(0, FIRST).flat()];
  if (folded.length > 0) lines.push(gap(folded));
  return {
    lines: lines.concat(...parts.slice(whole ? FIRST : FIRST + folded.length)),
    late: rows.length - shown.length,
  };
}

function children(rows: Row[]): Map<number | null, Row[]> {
  const below = new Map<number | null, Row[]>();
  for (const row of rows) {
    const there = below.get(row.parent);
    if (there === undefined) below.set(row.parent, [row]);
    else there.push(row);
  }
  for (const each of below.values()) each.sort((one, other) => one.start - other.start || one.id - other.id);
  return below;
}

function linesOf(row: Row, depth: number, below: Map<number | null, Row[]>): Line[] {
  const lines: Line[] = [{ id: row.id, depth, row }];
  for (const child of below.get(row.id) ?? []) lines.push(...linesOf(child, depth + 1, below));
  return lines;
}

/** Return how many of the parts after the first ones are to be folded away. */
function foldable(parts: Line[][]): number {
  let lines = 0;
  let kept = parts.length;
  while (kept > FIRST && lines < ENOUGH) lines += parts[--kept]!.length;
  return Math.floor((kept - FIRST) / AT_A_TIME) * AT_A_TIME;
}

function gap(parts: Line[][]): Line {
  const rows = parts.flat();
  const steps = parts.filter(([first]) => first!.row.kind === "step").length;
  const end = Math.max(...parts.map(([first]) => first!.row.end ?? first!.row.start));
  const first = rows[0]!.row;
  return { id: GAP, depth: 1, row: first, gap: { steps, rows: rows.length, start: first.start, end } };
}

/** Return the row that says what the run does now: the last one that goes on, and no frame of others. */
export function current(rows: Row[]): Row | undefined {
  const run = rows[0];
  if (run === undefined || run.status !== "open") return run;
  for (let id = rows.length - 1; id > 0; id--) {
    const row = rows[id]!;
    if (row.status === "open" && row.kind !== "step" && row.kind !== "run") return row;
  }
  return run;
}

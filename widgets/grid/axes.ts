// Which factors make rows and which columns, and so where each cell stands.

import type { Factor, GridState } from "./protocol";

/** One line of an axis: the level of each of its factors, the outermost first. */
export type Line = readonly number[];

/** A header over several lines: the line where it begins, how many it spans, its factor's depth and its level. */
export interface Span {
  from: number;
  count: number;
  depth: number;
  level: number;
}

export interface Axis {
  /** Numbers of the factors that make it. */
  factors: number[];
  lines: Line[];
}

export class Axes {
  readonly rows: Axis;
  readonly columns: Axis;
  private readonly places = new Map<string, number>();

  constructor(state: GridState, rows: number[], columns: number[]) {
    this.rows = axis(state, rows);
    this.columns = axis(state, columns);
    const row = numbered(this.rows);
    const column = numbered(this.columns);
    state.cells.forEach(({ place }, index) => {
      const key = `${row.get(key_(place, rows))}/${column.get(key_(place, columns))}`;
      if (!this.places.has(key)) this.places.set(key, index);
    });
  }

  /** Return the number of the cell that stands there, if one does. */
  at(row: number, column: number): number | undefined {
    return this.places.get(`${row}/${column}`);
  }
}

/** Return the factors that make rows and columns at first: as suggested, and a factor without a place makes rows. */
export function suggested({ factors, rows, columns }: GridState): { rows: number[]; columns: number[] } {
  const varied = factors.map((_, number) => number).filter((number) => factors[number]!.levels.length > 1);
  const named = (names: string[]): number[] =>
    names.map((name) => factors.findIndex((factor) => factor.name === name)).filter((number) => varied.includes(number));
  const across = named(columns);
  const down = named(rows).filter((number) => !across.includes(number));
  return { rows: [...down, ...varied.filter((number) => ![...down, ...across].includes(number))], columns: across };
}

/** Return the headers of one depth that touch the lines from `first` to `last`. */
export function spans({ lines, factors }: Axis, depth: number, first: number, last: number): Span[] {
  const found: Span[] = [];
  if (depth >= factors.length) return found;
  let from = first;
  while (from > 0 && same(lines[from - 1]!, lines[from]!, depth)) from -= 1;
  while (from <= last && from < lines.length) {
    let count = 1;
    while (from + count < lines.length && same(lines[from]!, lines[from + count]!, depth)) count += 1;
    found.push({ from, count, depth, level: lines[from]![depth]! });
    from += count;
  }
  return found;
}

/** Whether two lines are alike down to a depth. */
export function same(one: Line, other: Line, depth: number): boolean {
  for (let at = 0; at <= depth; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Return what tells a cell apart: its factors that vary, with their levels. */
export function labels(state: GridState, place: number[], but: readonly number[] = []): [string, string][] {
  const tell = (factor: Factor, number: number): [string, string] => [factor.name, factor.levels[place[number]!] ?? ""];
  return state.factors.flatMap((factor, number) =>
    factor.levels.length > 1 && !but.includes(number) ? [tell(factor, number)] : [],
  );
}

function axis({ cells }: GridState, factors: number[]): Axis {
  const lines = new Map<string, Line>();
  for (const { place } of cells) {
    const key = key_(place, factors);
    if (!lines.has(key)) lines.set(key, factors.map((factor) => place[factor]!));
  }
  return { factors, lines: [...lines.values()].sort(inOrder) };
}

function numbered({ lines }: Axis): Map<string, number> {
  return new Map(lines.map((line, number) => [line.join(","), number]));
}

function key_(place: number[], factors: number[]): string {
  return factors.map((factor) => place[factor]).join(",");
}

function inOrder(one: Line, other: Line): number {
  const depth = one.findIndex((level, at) => level !== other[at]);
  return depth < 0 ? 0 : one[depth]! - other[depth]!;
}

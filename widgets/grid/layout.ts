// How large rows and columns are, and which of them are in sight. All in pixels.

export const HEAD = 26;
const ROW_HEAD = 132;
const ROW = { height: 178, tall: 236, few: 2 };
const COLUMN = { least: 250, most: 560 };
/** Rows above and below those in sight that are there already. */
const SPARE = 1;

export interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface Range {
  first: number;
  last: number;
}

export class Layout {
  readonly rows: number;
  readonly columns: number;
  /** Height of the column headers, width of the row headers. */
  readonly head: number;
  readonly side: number;
  readonly sideStep: number;
  readonly row: number;
  readonly column: number;

  constructor(shape: { rows: number; columns: number; rowDepth: number; columnDepth: number }, width: number) {
    this.rows = shape.rows;
    this.columns = shape.columns;
    this.head = HEAD * shape.columnDepth;
    this.sideStep = Math.min(ROW_HEAD, Math.max(72, Math.floor((0.36 * width) / Math.max(1, shape.rowDepth))));
    this.side = this.sideStep * shape.rowDepth;
    this.row = shape.rows <= ROW.few ? ROW.tall : ROW.height;
    const free = Math.floor((width - this.side) / Math.max(1, shape.columns));
    const most = shape.columns === 1 ? Infinity : COLUMN.most;
    this.column = Math.max(COLUMN.least, Math.min(most, free));
  }

  get width(): number {
    return this.side + this.columns * this.column;
  }

  get height(): number {
    return this.head + this.rows * this.row;
  }

  /** Return the rows and columns that have content, given what is in sight. */
  visible({ left, top, width, height }: Window): { rows: Range; columns: Range } {
    return {
      rows: range(top, height - this.head, this.row, this.rows),
      columns: range(left, width - this.side, this.column, this.columns),
    };
  }

  /** Return where to scroll so that a cell is in sight, as near to where it is as can be. */
  reveal(row: number, column: number, window: Window): { left: number; top: number } {
    return {
      left: nearest(window.left, window.width - this.side, column * this.column, this.column),
      top: nearest(window.top, window.height - this.head, row * this.row, this.row),
    };
  }
}

function range(start: number, length: number, size: number, count: number): Range {
  const first = Math.max(0, Math.floor(start / size) - SPARE);
  const last = Math.min(count - 1, Math.floor((start + Math.max(1, length) - 1) / size) + SPARE);
  return { first: Math.min(first, Math.max(0, last)), last };
}

function nearest(start: number, length: number, from: number, size: number): number {
  if (from < start || size > length) return from;
  return from + size > start + length ? from + size - length : start;
}

// A row in sight: its headers, which stay at the left, and those of its cells that are in sight.

import type { Axes, Line } from "./axes";
import { CellView, type CellActions } from "./cell";
import { make } from "./dom";
import type { Layout, Range } from "./layout";
import type { Factor } from "./protocol";
import { labelOf } from "./words";

export class RowView {
  readonly element: HTMLElement;
  readonly cells = new Map<number, CellView>();
  private readonly row: number;
  private readonly axes: Axes;
  private readonly layout: Layout;

  constructor(row: number, axes: Axes, layout: Layout, factors: Factor[], indexFrom: number) {
    this.row = row;
    this.axes = axes;
    this.layout = layout;
    this.element = make("div", "row", { role: "row", "aria-rowindex": String(indexFrom + row) });
    Object.assign(this.element.style, { top: `${layout.head + row * layout.row}px`, height: `${layout.row}px` });
    this.element.append(...this.heads(axes.rows.lines[row]!, factors));
  }

  /** Have content for these columns and no others; `keep` is the one that has the focus. */
  show(columns: Range, keep: number | undefined, actions: CellActions): CellView[] {
    for (const [column, cell] of this.cells) {
      if ((column >= columns.first && column <= columns.last) || column === keep) continue;
      cell.element.remove();
      this.cells.delete(column);
    }
    const wanted = new Set(keep === undefined ? [] : [keep]);
    for (let column = columns.first; column <= columns.last; column++) wanted.add(column);
    return [...wanted].filter((column) => !this.cells.has(column)).flatMap((column) => this.add(column, actions));
  }

  private add(column: number, actions: CellActions): CellView[] {
    const index = this.axes.at(this.row, column);
    if (index === undefined) return [];
    const cell = new CellView(index, actions);
    const { side, column: width } = this.layout;
    Object.assign(cell.element.style, { left: `${side + column * width}px`, width: `${width}px` });
    cell.element.setAttribute("aria-colindex", String(this.axes.rows.factors.length + column + 1));
    insertInOrder(this.element, cell.element, this.cells, column);
    this.cells.set(column, cell);
    return [cell];
  }

  private heads(line: Line, factors: Factor[]): HTMLElement[] {
    const { sideStep } = this.layout;
    const before = this.axes.rows.lines[this.row - 1];
    let repeats = before !== undefined;
    return line.map((level, depth) => {
      const factor = factors[this.axes.rows.factors[depth]!]!;
      const text = labelOf(factor.levels[level] ?? "");
      repeats = repeats && before![depth] === level;
      const name = make("span", "factor", {}, labelOf(factor.name));
      const head = make("div", "row-head", { role: "rowheader", "aria-colindex": String(depth + 1), title: text }, name);
      head.append(make("span", "label", {}, text));
      head.classList.toggle("llmkit-grid-repeats", repeats);
      Object.assign(head.style, { left: `${depth * sideStep}px`, width: `${sideStep}px` });
      return head;
    });
  }
}

/** Put an element among those of `others` by its number: what is read aloud is read in order. */
export function insertInOrder(
  into: HTMLElement,
  element: HTMLElement,
  others: ReadonlyMap<number, { element: HTMLElement }>,
  number: number,
): void {
  const after = Math.min(...[...others.keys()].filter((other) => other > number));
  into.insertBefore(element, others.get(after)?.element ?? null);
}

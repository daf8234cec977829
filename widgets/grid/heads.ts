// The column headers, which stay at the top: a line a factor, each header over all that it is about.

import { spans, type Axes } from "./axes";
import { make } from "./dom";
import { HEAD, type Layout, type Range } from "./layout";
import type { Factor } from "./protocol";
import { labelOf } from "./words";

export class Heads {
  readonly element = make("div", "heads", { role: "rowgroup" });
  private shown = "";

  paint(axes: Axes, layout: Layout, factors: Factor[], columns: Range): void {
    const key = `${columns.first}/${columns.last}`;
    if (key === this.shown) return;
    this.shown = key;
    this.element.style.height = `${layout.head}px`;
    const depths = Math.max(1, axes.columns.factors.length);
    this.element.replaceChildren(
      ...Array.from({ length: depths }, (_, depth) => this.line(axes, layout, factors, columns, depth)),
    );
  }

  forget(): void {
    this.shown = "";
  }

  private line(axes: Axes, layout: Layout, factors: Factor[], columns: Range, depth: number): HTMLElement {
    const row = make("div", "head-row", { role: "row", "aria-rowindex": String(depth + 1) });
    Object.assign(row.style, { top: `${depth * HEAD}px`, height: `${HEAD}px` });
    const corner = make("div", "corner", { "aria-hidden": "true" });
    corner.style.width = `${layout.side}px`;
    row.append(corner);
    if (axes.columns.factors.length === 0) row.append(this.head(axes, layout, "", "answer", 0, 1));
    for (const { from, count, level } of spans(axes.columns, depth, columns.first, columns.last)) {
      const factor = factors[axes.columns.factors[depth]!]!;
      row.append(this.head(axes, layout, factor.name, factor.levels[level] ?? "", from, count));
    }
    return row;
  }

  private head(axes: Axes, layout: Layout, name: string, text: string, from: number, count: number): HTMLElement {
    const label = labelOf(text);
    const words = make("span", "over", {}, make("span", "label", {}, label));
    if (name !== "") words.prepend(make("span", "factor", {}, labelOf(name)));
    Object.assign(words.style, { left: `${layout.side}px`, maxWidth: `${layout.column}px` });
    const attributes = {
      role: "columnheader",
      "aria-colindex": String(axes.rows.factors.length + from + 1),
      "aria-colspan": String(count),
      title: label,
    };
    const head = make("div", "head", attributes, words);
    Object.assign(head.style, { left: `${layout.side + from * layout.column}px`, width: `${count * layout.column}px` });
    return head;
  }
}

// One row: a label, a bar where its time is, how long it took; and below it, when it is unfolded, its details.

import { make, set, style, write } from "./dom";
import type { DetailsView } from "./details";
import { GAP, type Line } from "./outline";
import { place, type Scale } from "./scale";
import { durationWords, labelWords, spoken } from "./words";

/** The height of a row without its details, in pixels. */
export const HEIGHT = 24;
const INDENT = 14;

/** What all rows have in common when they are painted. */
export interface Frame {
  scale: Scale;
  now: number;
  /** Whether nothing is folded away. */
  whole: boolean;
  lines: number;
}

export class RowView {
  readonly element: HTMLElement;
  readonly head: HTMLElement;
  private readonly label = make("span", "label");
  private readonly bar = make("span", "bar", { "aria-hidden": "true" });
  private readonly beside = make("span", "beside", { "aria-hidden": "true" });
  private readonly time = make("span", "time", { "aria-hidden": "true" });

  constructor(readonly id: number) {
    const mark = make("span", "mark", { "aria-hidden": "true" });
    const name = make("span", "name", { "aria-hidden": "true" }, mark, this.label);
    const lane = make("span", "lane", {}, this.bar, this.beside);
    this.head = make("div", "head", { role: "button", tabindex: "-1" }, name, lane, this.time);
    this.element = make("div", "row", { role: "listitem" }, this.head);
    this.element.dataset["id"] = String(id);
  }

  paint(line: Line, index: number, top: number, frame: Frame, details: DetailsView | undefined): void {
    const { row, gap } = line;
    set(this.element, "data-kind", gap === undefined ? row.kind : "gap");
    set(this.element, "data-status", gap === undefined ? row.status : "ok");
    set(this.element, "aria-posinset", String(index + 1));
    set(this.element, "aria-setsize", String(frame.lines));
    set(this.head, "aria-expanded", String(line.id === GAP ? frame.whole : details !== undefined));
    set(this.head, "aria-label", spoken(line, frame.whole));
    style(this.element, "top", `${top}px`);
    this.label.style.paddingLeft = `${INDENT * Math.max(0, line.depth - 1)}px`;
    write(this.label, labelWords(line));
    write(this.time, durationWords(line, frame.now));
    this.paintBar(line, frame);
    this.paintDetails(details);
  }

  /** The bar, and the words beside it on that side on which there is room for more of them. */
  private paintBar({ row, gap }: Line, { scale, now }: Frame): void {
    const from = place(scale, gap?.start ?? row.start);
    const to = place(scale, gap?.end ?? row.end ?? now);
    style(this.bar, "left", percent(from));
    style(this.bar, "width", percent(to - from));
    write(this.beside, gap === undefined ? row.detail : "");
    const right = 1 - to >= from || to < 0.6;
    set(this.beside, "data-side", right ? "right" : "left");
    style(this.beside, "left", right ? `calc(${percent(to)} + 7px)` : "0");
    style(this.beside, "right", right ? "0" : `calc(${percent(1 - from)} + 7px)`);
  }

  private paintDetails(details: DetailsView | undefined): void {
    const there = this.head.nextElementSibling;
    if (details === undefined) {
      there?.remove();
      this.head.removeAttribute("aria-controls");
    } else if (there !== details.element) {
      this.element.append(details.element);
      this.head.setAttribute("aria-controls", details.element.id);
    }
  }
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))}%`;
}

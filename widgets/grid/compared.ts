// Two cells side by side, with the words marked that only one of them has. Their texts are text, not Markdown.

import { plain } from "../shared/visible";
import { labels } from "./axes";
import { Dialog } from "./dialog";
import { diff, likeness, type Piece } from "./diff";
import { make, tag } from "./dom";
import type { GridStore } from "./store";
import { figures } from "./words";

export class ComparedCells extends Dialog {
  readonly cells: readonly [number, number];
  private readonly store: GridStore;
  private readonly sides = [make("div", "side-text"), make("div", "side-text")] as const;
  private readonly heads = [make("div", "side-head"), make("div", "side-head")] as const;
  private readonly common = make("span", "quiet");
  private shown = ["", ""];

  constructor(cells: readonly [number, number], store: GridStore, closed: () => void) {
    super("Two cells compared", closed);
    this.cells = cells;
    this.store = store;
    this.title.append("Word by word", this.common);
    const columns = this.sides.map((side, index) => make("section", "side", {}, this.heads[index]!, side));
    this.content.append(make("div", "sides", {}, ...columns));
    this.update();
  }

  update(): void {
    const { state } = this.store;
    const both = this.cells.map((index) => state.cells[index]!);
    const places = both.map((cell) => cell.place);
    const alike = state.factors.map((_, number) => number).filter((number) => places[0]![number] === places[1]![number]);
    both.forEach((cell, side) => {
      const named = labels(state, cell.place, alike).map(tag);
      this.heads[side]!.replaceChildren(...named, make("span", "figures", {}, figures(cell)));
    });
    const texts = both.map((cell) => cell.text);
    if (texts[0] === this.shown[0] && texts[1] === this.shown[1]) return;
    this.shown = texts;
    const pieces = diff(texts[0]!, texts[1]!);
    this.common.textContent = ` · ${Math.round(100 * likeness(pieces))} % in common`;
    paint(this.sides[0], pieces, "left");
    paint(this.sides[1], pieces, "right");
  }

  protected onKey(): boolean {
    return false;
  }
}

function paint(into: HTMLElement, pieces: Piece[], own: "left" | "right"): void {
  into.replaceChildren();
  const painter = plain();
  for (const { kind, text } of pieces) {
    if (kind !== "both" && kind !== own) continue;
    const element = kind === "both" ? make("span", "both") : make(own === "left" ? "del" : "ins", "only");
    painter.paint(element, text);
    into.append(element);
  }
}

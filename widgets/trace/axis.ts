// The time axis: words above the rows, lines behind them.

import { make } from "./dom";
import { place, ticks, type Scale } from "./scale";
import { tickWords } from "./words";

export class Axis {
  readonly words = make("div", "axis", { "aria-hidden": "true" });
  readonly lines = make("div", "lines", { "aria-hidden": "true" });
  private painted = "";

  paint(scale: Scale): void {
    const shown = `${scale.start}/${scale.end}`;
    if (shown === this.painted) return;
    this.painted = shown;
    const marks = ticks(scale).map((seconds) => ({ seconds, left: `${100 * place(scale, scale.start + seconds)}%` }));
    const words = marks.map(({ seconds, left }) => at(make("span", "tick", {}, tickWords(seconds)), left));
    this.words.replaceChildren(make("div", "ticks", {}, ...words));
    this.lines.replaceChildren(make("div", "ticks", {}, ...marks.map(({ left }) => at(make("span", "line"), left))));
  }
}

function at(element: HTMLElement, left: string): HTMLElement {
  element.style.left = left;
  return element;
}

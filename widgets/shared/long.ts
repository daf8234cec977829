// Long text: its beginning, then a button that says how much more there is and brings it.

import { button, make } from "./dom";
import type { Painter } from "./visible";

/** A text is folded when it is longer than this, and unfolds in pieces that a page can lay out at once. */
const FOLD = { characters: 1_200, lines: 14, rest: 200, piece: 100_000 };

/** Append `text` to `into`, folded if it is long. */
export function long(into: HTMLElement, text: string, painter: Painter): void {
  let shown = folded(text, painter.lineBreak);
  painter.paint(into, text.slice(0, shown));
  if (shown >= text.length) return;
  const more = button("more", "", () => {
    const next = Math.min(text.length, shown + FOLD.piece);
    const piece = make("span", "piece");
    painter.paint(piece, text.slice(shown, next));
    more.before(piece);
    shown = next;
    into.classList.add("llmkit-run-unfolded");
    if (shown >= text.length) more.remove();
    else label();
  });
  const label = (): void => {
    const left = text.length - shown;
    const next = left <= FOLD.piece ? "Show" : `Show ${FOLD.piece.toLocaleString("en")} of`;
    more.textContent = `… ${next} ${left.toLocaleString("en")} more characters`;
  };
  label();
  into.append(more);
}

/** Return how much of `text` shows at first. */
function folded(text: string, lineBreak: string): number {
  let end = -1;
  for (let line = 0; line < FOLD.lines; line++) {
    end = text.indexOf(lineBreak, end + 1);
    if (end < 0) break;
  }
  const cut = Math.min(end < 0 ? text.length : end, FOLD.characters);
  const rest = text.slice(cut, cut + FOLD.rest + 1);
  const short = rest.length <= FOLD.rest && rest.split(lineBreak).length <= FOLD.lines / 4;
  return short ? text.length : cut;
}

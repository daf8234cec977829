// One cell in sight: who is at what, the answer as it comes, and what can be done about it.

import { say } from "../shared/dom";
import { StreamedMarkdown } from "../shared/streamed";
import { visible } from "../shared/visible";
import { button, make, set } from "./dom";
import { isOver, type Cell } from "./protocol";
import { figures, scoreWords, statusWords } from "./words";

/** A cell shows a few lines; so many characters of a longer answer are on the page, those in sight among them. */
const SHOWN = { most: 2_400, step: 800 };

export interface CellActions {
  open(index: number): void;
  stop(index: number): void;
  rerun(index: number): void;
  mark(index: number): void;
  copy(index: number): void;
}

export class CellView {
  readonly element: HTMLElement;
  readonly index: number;
  private readonly status = make("span", "status");
  private readonly figures = make("span", "figures");
  private readonly stop: HTMLButtonElement;
  private readonly rerun: HTMLButtonElement;
  private readonly copy: HTMLButtonElement;
  private readonly mark: HTMLButtonElement;
  private readonly body = make("div", "body");
  private readonly text = make("div", "text");
  private readonly extra = make("div", "extra");
  private readonly markdown: StreamedMarkdown;
  private again = 0;
  private told = "";

  constructor(index: number, actions: CellActions) {
    this.index = index;
    this.text.classList.add("llmkit-run-markdown");
    this.markdown = new StreamedMarkdown(this.text);
    this.stop = button("Stop", "Stop this cell", () => actions.stop(index), "S");
    this.rerun = button("Re-run", "Ask again", () => actions.rerun(index), "R");
    this.copy = button("Copy", "Copy this answer as Markdown", () => actions.copy(index), "C");
    this.mark = button("Diff", "Choose for a comparison word by word; choose two", () => actions.mark(index), "D");
    const open = button("Open", "Show this cell large", () => actions.open(index), "Enter");
    const buttons = make("span", "buttons", {}, this.stop, this.rerun, this.copy, this.mark, open);
    for (const each of buttons.querySelectorAll("button")) each.tabIndex = -1;
    const dot = make("span", "dot", { "aria-hidden": "true" });
    const head = make("div", "cell-head", {}, dot, this.status, this.figures, buttons);
    this.body.append(this.text);
    this.element = make("div", "cell", { role: "gridcell", tabindex: "-1" }, head, this.body, this.extra);
    this.element.dataset["cell"] = String(index);
  }

  update(cell: Cell, lost: boolean, marked: boolean): void {
    const over = isOver(cell);
    const gone = lost && !over;
    set(this.element, "data-status", gone ? "lost" : cell.status);
    set(this.element, "aria-busy", String(!over && !lost));
    set(this.element, "aria-selected", String(marked));
    set(this.mark, "aria-pressed", String(marked));
    say(this.status, statusWords(cell, gone));
    say(this.figures, figures(cell));
    this.stop.hidden = over || lost;
    this.rerun.hidden = !over || lost;
    this.copy.hidden = this.mark.hidden = cell.text === "";
    this.paintText(cell, over);
    this.paintExtra(cell);
  }

  /** Say something for a moment. */
  flash(words: string): void {
    this.copy.textContent = words;
    setTimeout(() => (this.copy.textContent = "Copy"), 1_500);
  }

  private paintText(cell: Cell, over: boolean): void {
    if (cell.again !== this.again) {
      this.again = cell.again;
      this.markdown.update("");
    }
    const reasons = cell.text === "" && cell.reasoning !== "" && !over;
    this.text.classList.toggle("llmkit-grid-reasoning", reasons);
    this.body.classList.toggle("llmkit-grid-streams", !over);
    this.markdown.update(shown(reasons ? cell.reasoning : cell.text, over));
    if (over) this.markdown.settle();
  }

  private paintExtra(cell: Cell): void {
    const told = JSON.stringify([cell.error, cell.calls, cell.scores]);
    if (told === this.told) return;
    this.told = told;
    this.extra.replaceChildren(...extras(cell));
  }
}

/** What stands below an answer: an error, calls, scores. All of it is text to the page. */
export function extras(cell: Cell): HTMLElement[] {
  const parts = cell.calls.map((line) => make("div", "call", {}, visible(line)));
  if (cell.error !== null) {
    const kind = make("strong", "kind", {}, visible(cell.error.kind));
    parts.push(make("div", "error", {}, kind, " ", visible(cell.error.message)));
  }
  const scores = scoreWords(cell).map(([name, value]) => make("span", "score", {}, `${name} `, make("b", "value", {}, value)));
  if (scores.length > 0) parts.push(make("div", "scores", {}, ...scores));
  return parts;
}

/** Return the part of an answer that is worth having on the page: its beginning, or what comes while it grows. */
export function shown(text: string, over: boolean): string {
  if (text.length <= SHOWN.most) return text;
  if (over) return text.slice(0, SHOWN.most);
  const from = SHOWN.step * Math.floor((text.length - SHOWN.most / 2) / SHOWN.step);
  const line = text.indexOf("\n", from);
  return text.slice(line < 0 || line > from + SHOWN.step / 2 ? from : line + 1);
}

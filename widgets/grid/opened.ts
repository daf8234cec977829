// One cell large: what was asked, the whole answer as it comes, how it went.

import { copy } from "../shared/copy";
import { make as makePart, say } from "../shared/dom";
import { long } from "../shared/long";
import { StreamedMarkdown } from "../shared/streamed";
import { plain } from "../shared/visible";
import { labels } from "./axes";
import { extras } from "./cell";
import { Dialog } from "./dialog";
import { button, make, set, tag } from "./dom";
import { isOver } from "./protocol";
import type { GridStore } from "./store";
import { figures, statusWords } from "./words";

export class OpenedCell extends Dialog {
  index: number;
  private readonly store: GridStore;
  private readonly step: (index: number, by: number) => number | undefined;
  private readonly stop = button("Stop", "Stop this cell", () => this.store.stop(this.index), "S");
  private readonly rerun = button("Re-run", "Ask again", () => this.store.rerun(this.index), "R");
  private readonly copy = button("Copy", "Copy the answer as Markdown", () => void this.onCopy(), "C");
  private readonly previous = button("←", "Previous cell", () => this.go(-1), "ArrowLeft");
  private readonly next = button("→", "Next cell", () => this.go(1), "ArrowRight");
  private readonly status = make("span", "status");
  private readonly figures = make("span", "figures");
  private readonly prompt = make("div", "prompt");
  private readonly thoughts = make("div", "thoughts");
  private readonly reasoning = make("details", "details", {}, make("summary", "summary", {}, "Reasoning"), this.thoughts);
  private readonly text = make("div", "whole");
  private readonly extra = make("div", "extra");
  private readonly footer = make("footer", "footer");
  private markdown: StreamedMarkdown;
  private thinking: StreamedMarkdown;
  private again = -1;

  /** Open cell `index`; `step` returns the cell that comes before or after another. */
  constructor(index: number, store: GridStore, step: (index: number, by: number) => number | undefined, closed: () => void) {
    super("Cell", closed);
    this.index = index;
    this.store = store;
    this.step = step;
    for (const element of [this.text, this.thoughts]) element.classList.add("llmkit-run-markdown");
    this.markdown = new StreamedMarkdown(this.text);
    this.thinking = new StreamedMarkdown(this.thoughts);
    this.reasoning.addEventListener("toggle", () => this.update());
    const dot = make("span", "dot", { "aria-hidden": "true" });
    this.tools.append(dot, this.status, this.figures, this.stop, this.rerun, this.copy, this.previous, this.next);
    this.content.append(this.prompt, this.reasoning, this.text, this.extra, this.footer);
    this.begin();
  }

  update(): void {
    const { state, lost } = this.store;
    const cell = state.cells[this.index];
    if (cell === undefined) return;
    const over = isOver(cell);
    if (cell.again !== this.again) {
      this.again = cell.again;
      this.markdown.update("");
      this.thinking.update("");
    }
    set(this.element, "data-status", lost && !over ? "lost" : cell.status);
    say(this.status, statusWords(cell, lost && !over));
    say(this.figures, over ? "" : figures(cell));
    this.stop.hidden = over || lost;
    this.rerun.hidden = !over || lost;
    this.reasoning.hidden = cell.reasoning === "";
    if (this.reasoning.open) this.thinking.update(cell.reasoning);
    this.markdown.update(cell.text);
    if (over) this.markdown.settle();
    this.extra.replaceChildren(...extras(cell));
    say(this.footer, over ? cell.summary : "");
  }

  protected onKey({ key }: KeyboardEvent): boolean {
    const press = { s: this.stop, r: this.rerun, c: this.copy, arrowleft: this.previous, arrowright: this.next }[
      key.toLowerCase()
    ];
    if (press === undefined || press.hidden || press.disabled) return false;
    press.click();
    return true;
  }

  /** Show another cell. */
  private go(by: number): void {
    const index = this.step(this.index, by);
    if (index === undefined) return;
    this.index = index;
    this.again = -1;
    this.begin();
    this.content.scrollTop = 0;
  }

  private begin(): void {
    const { state } = this.store;
    const cell = state.cells[this.index]!;
    const named = labels(state, cell.place).map(tag);
    this.title.replaceChildren(...(named.length > 0 ? named : ["Answer"]));
    const { text, more } = state.prompts[cell.prompt] ?? { text: "", more: 0 };
    this.prompt.replaceChildren();
    long(this.prompt, text, plain());
    if (more > 0) this.prompt.append(makePart("span", "quiet", {}, ` … and ${more.toLocaleString("en")} more characters`));
    this.prompt.hidden = text === "";
    this.previous.disabled = this.step(this.index, -1) === undefined;
    this.next.disabled = this.step(this.index, 1) === undefined;
    this.update();
  }

  private async onCopy(): Promise<void> {
    const copied = await copy(this.store.state.cells[this.index]!.text);
    this.copy.textContent = copied ? "Copied" : "Can't copy here";
    setTimeout(() => (this.copy.textContent = "Copy"), 1_500);
  }
}

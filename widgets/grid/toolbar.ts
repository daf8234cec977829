// What stands above the grid: how far it is, what can be done with all of it, and which factors make rows and columns.

import { say } from "../shared/dom";
import { button, make, set } from "./dom";
import { allOver, type GridState } from "./protocol";
import { labelOf, progressWords } from "./words";

export interface ToolbarActions {
  stopAll(): void;
  judge(): void;
  unmark(): void;
  /** Let a factor make rows instead of columns, or the other way. */
  move(factor: number): void;
  swap(): void;
}

export class Toolbar {
  readonly element: HTMLElement;
  private readonly progress = make("span", "progress");
  private readonly fill = make("div", "fill");
  private readonly bar = make("div", "bar", { role: "progressbar", "aria-label": "Cells done", "aria-valuemin": "0" }, this.fill);
  private readonly hint = make("span", "hint", { role: "status" });
  private readonly stop: HTMLButtonElement;
  private readonly judge: HTMLButtonElement;
  private readonly unmark: HTMLButtonElement;
  private readonly axes = make("div", "axes");
  private readonly actions: ToolbarActions;

  constructor(actions: ToolbarActions) {
    this.actions = actions;
    this.stop = button("Stop all", "Stop all cells", () => actions.stopAll());
    this.judge = button("Judge…", "Choose the better of two answers, blind", () => actions.judge());
    this.unmark = button("Cancel", "Choose no cells", () => actions.unmark(), "Escape");
    const dot = make("span", "dot", { "aria-hidden": "true" });
    const buttons = make("span", "tools", {}, this.hint, this.unmark, this.judge, this.stop);
    this.element = make("header", "toolbar", {}, make("div", "line", {}, dot, this.progress, buttons), this.bar, this.axes);
  }

  paint(state: GridState, lost: boolean, marked: boolean): void {
    const over = allOver(state);
    const { done, total } = state.progress;
    say(this.progress, progressWords(state, lost && !over));
    say(this.hint, marked ? "Choose another cell" : "");
    this.unmark.hidden = !marked;
    this.stop.hidden = over || lost;
    this.judge.hidden = lost || state.cells.length < 2;
    this.bar.hidden = over;
    set(this.bar, "aria-valuemax", String(total));
    set(this.bar, "aria-valuenow", String(done));
    const width = `${(100 * done) / Math.max(1, total)}%`;
    if (this.fill.style.width !== width) this.fill.style.width = width;
  }

  /** Show which factors make rows and which columns, and what is the same in all cells. */
  paintAxes({ factors }: GridState, rows: number[], columns: number[]): void {
    const fixed = factors
      .filter((factor) => factor.levels.length === 1)
      .map((factor) => `${labelOf(factor.name)} ${labelOf(factor.levels[0] ?? "")}`);
    const chips = (name: string, numbers: number[], other: string): HTMLElement => {
      const group = make("span", "axis", { role: "group", "aria-label": name }, make("span", "quiet", {}, name));
      group.append(...numbers.map((number) => this.chip(labelOf(factors[number]!.name), number, other)));
      if (numbers.length === 0) group.append(make("span", "quiet", {}, "–"));
      return group;
    };
    const parts = rows.length + columns.length === 0 ? [] : [chips("Rows", rows, "columns"), chips("Columns", columns, "rows")];
    if (parts.length > 0) parts.push(button("⇄", "Swap rows and columns", () => this.actions.swap()));
    if (fixed.length > 0) parts.push(make("span", "fixed", { title: fixed.join(" · ") }, fixed.join(" · ")));
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["factor"] : undefined;
    this.axes.replaceChildren(...parts);
    if (focused !== undefined) this.axes.querySelector<HTMLElement>(`[data-factor="${Number(focused)}"]`)?.focus();
  }

  private chip(label: string, number: number, other: string): HTMLElement {
    const chip = button(label, `Let ${label} make ${other}`, () => this.actions.move(number));
    chip.classList.add("llmkit-grid-chip");
    chip.dataset["factor"] = String(number);
    return chip;
  }
}

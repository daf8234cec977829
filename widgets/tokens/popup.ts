// A token's alternatives, with bars; one can be chosen to go on with.

import { make } from "./dom";
import type { Token } from "./protocol";
import { named, percent } from "./words";

export class Popup {
  readonly element = make("div", "popup", { hidden: "" });
  private rows: HTMLElement[] = [];
  private chosen = -1;
  private pick: ((id: number) => void) | null = null;

  constructor() {
    // The focus stays on the token, whose keys these are.
    this.element.addEventListener("pointerdown", (event) => event.preventDefault());
    this.element.addEventListener("mousedown", (event) => event.preventDefault());
    this.element.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("[data-id]");
      if (row !== null) this.pick?.(Number(row.dataset.id));
    });
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  /** Show a token's alternatives below `anchor`; `pick` is called with the id of the one that is chosen. */
  show(token: Token, anchor: HTMLElement, pick: ((id: number) => void) | null): void {
    this.pick = pick;
    this.chosen = -1;
    const bits = token.bits === null ? "" : ` · ${token.bits.toFixed(2)} bits`;
    const rank = token.rank === null ? "" : ` · rank ${token.rank + 1}`;
    const head = make("div", "facts", {}, make("strong", "name", {}, named(token.text)), ` ${percent(token.p)}${rank}${bits}`);
    this.rows = token.others.map(([id, text, p]) => {
      const row = bar(named(text), p, id === token.id ? "chosen" : "other");
      row.setAttribute("role", "option");
      if (pick !== null) row.dataset.id = String(id);
      return row;
    });
    const rest = 1 - token.others.reduce((sum, [, , p]) => sum + (p ?? 0), 0);
    const list = make("div", "others", { role: "listbox", "aria-label": "Alternatives" }, ...this.rows);
    const hint = pick === null ? "" : "Click one, or ↑ ↓ and Enter, to go on from it";
    const none = token.others.length === 0 ? make("p", "hint", {}, "No alternatives are known here.") : "";
    this.element.replaceChildren(head, list, none);
    if (token.others.length > 0 && rest > 0.0005) this.element.append(bar("all others", rest, "rest"));
    if (hint !== "" && token.others.length > 0) this.element.append(make("p", "hint", {}, hint));
    this.element.hidden = false;
    this.place(anchor);
  }

  hide(): void {
    this.element.hidden = true;
    this.chosen = -1;
  }

  /** Move the choice by `step`; return the row's words for a screen reader. */
  move(step: number): string {
    if (this.rows.length === 0) return "";
    this.rows[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = (this.chosen + step + this.rows.length + (this.chosen < 0 && step < 0 ? 1 : 0)) % this.rows.length;
    const row = this.rows[this.chosen]!;
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView?.({ block: "nearest" });
    return row.textContent ?? "";
  }

  /** Take the chosen row; return whether there was one. */
  take(): boolean {
    const id = this.rows[this.chosen]?.dataset.id;
    if (id === undefined) return false;
    this.pick?.(Number(id));
    return true;
  }

  private place(anchor: HTMLElement): void {
    const frame = this.element.offsetParent?.getBoundingClientRect();
    const lines = anchor.getClientRects();
    const at = lines[lines.length - 1] ?? anchor.getBoundingClientRect();
    if (frame === undefined) return;
    const width = this.element.offsetWidth;
    this.element.style.left = `${Math.max(8, Math.min(at.left - frame.left, frame.width - width - 8))}px`;
    this.element.style.top = `${at.bottom - frame.top + 3}px`;
  }
}

function bar(text: string, p: number | null, kind: "chosen" | "other" | "rest"): HTMLElement {
  const fill = make("span", "fill");
  fill.style.width = `${100 * (p ?? 0)}%`;
  const row = make("div", "row", {}, make("span", "text", {}, text), make("span", "bar", {}, fill), make("span", "share", {}, percent(p)));
  row.dataset.kind = kind;
  return row;
}

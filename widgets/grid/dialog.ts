// What opens over the page: it has the keyboard until it is closed, by its button or by Escape.

import { ownKeys } from "../shared/keys";
import { button, make } from "./dom";

export abstract class Dialog {
  readonly element: HTMLDialogElement;
  protected readonly title = make("div", "title");
  protected readonly tools = make("span", "tools");
  protected readonly content = make("div", "content", { tabindex: "-1" });
  private readonly ends: (() => void)[];
  private readonly before = document.activeElement;
  private readonly closed: () => void;

  /** Make it; `closed` is called once it is gone. */
  constructor(label: string, closed: () => void) {
    this.closed = closed;
    const close = button("Close", "Close", () => this.close(), "Escape");
    const head = make("header", "dialog-head", {}, this.title, this.tools, close);
    this.element = make("dialog", "dialog", { "aria-label": label }, head, this.content);
    this.element.addEventListener("keydown", (event) => this.onKeyDown(event));
    this.element.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    this.element.addEventListener("click", (event) => {
      event.stopPropagation();
      if (event.target === this.element) this.close(); // the ground behind it
    });
    this.ends = [ownKeys(this.element)];
  }

  /** Show it above everything, as part of `parent`, which has the colours. */
  open(parent: HTMLElement): void {
    parent.append(this.element);
    if (typeof this.element.showModal === "function") this.element.showModal();
    else this.element.setAttribute("open", "");
    this.content.focus();
  }

  close(): void {
    if (!this.element.isConnected) return;
    for (const end of this.ends) end();
    this.element.remove();
    if (this.before instanceof HTMLElement && this.before.isConnected) this.before.focus();
    this.closed();
  }

  /** Take a key; return whether it meant something. */
  protected abstract onKey(event: KeyboardEvent): boolean;

  private onKeyDown(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.matches("select, input, textarea")) return;
    if (this.onKey(event)) event.preventDefault();
  }
}

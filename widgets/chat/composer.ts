// Where the next message is written: Enter sends it, Shift+Enter begins a new line.

import { pending } from "../run/protocol";
import { say } from "../shared/dom";
import { button, make } from "./dom";
import type { ChatStore } from "./store";
import { typing } from "./typing";

export class Composer {
  readonly element: HTMLElement;
  private readonly area = make("textarea", "area", {
    "aria-label": "Message",
    placeholder: "Say something. Enter sends it, Shift+Enter begins a new line.",
    rows: "2",
  });
  private readonly send = button("primary", "Send", "Send the message (Enter)", () => this.submit());
  private readonly stop = button("stop", "Stop", "Stop the answer", () => this.store.request({ kind: "stop" }));
  private readonly hint = make("span", "hint");
  private readonly notice = make("p", "notice");
  private readonly untype: () => void;

  constructor(
    private readonly store: ChatStore,
    private readonly onSent: () => void,
  ) {
    const buttons = make("div", "buttons", {}, this.send, this.stop);
    const line = make("div", "line", {}, this.area, buttons);
    this.element = make("div", "composer", {}, this.hint, line, this.notice);
    this.area.value = store.draft;
    this.area.addEventListener("input", () => this.onInput());
    this.untype = typing(this.area, { enter: () => this.submit() });
  }

  update(): void {
    const { store } = this;
    if (this.area.value !== store.draft && (store.draft !== "" || store.occupied)) this.area.value = store.draft;
    const hadFocus = document.activeElement === this.stop;
    this.stop.hidden = store.state.busy === null || store.lost;
    this.send.hidden = !this.stop.hidden;
    this.send.disabled = store.occupied || store.draft.trim() === "";
    if (hadFocus && this.stop.hidden) this.focus();
    this.area.disabled = store.lost;
    say(this.hint, this.hintWords());
    say(this.notice, store.lost ? "The kernel was restarted; this chat is over. Its transcript is kept." : store.notice.text);
    this.notice.dataset["tone"] = store.notice.tone;
  }

  focus(): void {
    this.area.focus({ preventScroll: true });
  }

  dispose(): void {
    this.untype();
  }

  private hintWords(): string {
    const { busy, path } = this.store.state;
    if (busy === null || this.store.lost) return "";
    if (!path.includes(busy)) return "An answer is being written in another branch.";
    return pending(this.store.answer(busy).state).length > 0 ? "A tool call waits for your decision." : "";
  }

  private onInput(): void {
    this.store.draft = this.area.value;
    this.update();
  }

  private submit(): void {
    if (this.send.disabled || this.send.hidden) return;
    this.store.ask({ kind: "send", text: this.store.draft });
    this.area.value = "";
    this.onSent();
  }
}

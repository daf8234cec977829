// One turn: what the user said, to be edited and sent again, or an answer; with a way to the branches beside it.

import { RunView } from "../run/view";
import { say } from "../shared/dom";
import { visible } from "../shared/visible";
import { button, make } from "./dom";
import type { Turn } from "./protocol";
import type { ChatStore } from "./store";
import { typing } from "./typing";

/** What has the focus in a turn, so that the turn that takes its place can have it. */
export type Focused = "previous" | "next";

export interface TurnView {
  readonly element: HTMLElement;
  update(): void;
  /** Take the focus that a turn in the same place had. */
  focus(part: Focused): void;
  dispose(): void;
}

/** Called when the user goes to another branch. */
export type OnBranch = (turn: Turn, part: Focused) => void;

export class UserTurn implements TurnView {
  readonly element: HTMLElement;
  private readonly bubble = make("div", "bubble");
  private readonly arrows: Arrows;
  private readonly edit = button("edit", "Edit", "Edit and send again; this message and its answers are kept", () => this.open());
  private readonly area = make("textarea", "area", { "aria-label": "Edit the message", rows: "2" });
  private readonly again = button("primary", "Send", "Send this instead (Enter)", () => this.submit());
  private readonly cancel = button("cancel", "Cancel", "Leave it as it is (Escape)", () => this.close());
  private readonly editor: HTMLElement;
  private readonly foot: HTMLElement;
  private readonly untype: () => void;

  constructor(
    private readonly turn: Turn,
    private readonly store: ChatStore,
    onBranch: OnBranch,
    private readonly onSent: () => void,
  ) {
    this.arrows = new Arrows(turn, store, onBranch);
    this.bubble.textContent = visible(turn.text);
    this.editor = make("div", "editor", {}, this.area, make("div", "foot", {}, this.again, this.cancel));
    this.editor.hidden = true;
    this.foot = make("div", "foot", {}, this.arrows.element, this.edit);
    this.element = make("div", "user", { role: "group", "aria-label": "You" }, this.bubble, this.editor, this.foot);
    this.untype = typing(this.area, { enter: () => this.submit(), escape: () => this.close() });
    this.update();
  }

  update(): void {
    this.arrows.update();
    this.edit.disabled = this.store.occupied;
    this.again.disabled = this.store.occupied;
  }

  focus(part: Focused): void {
    this.arrows.focus(part);
  }

  dispose(): void {
    this.untype();
    this.element.remove();
  }

  private open(): void {
    this.area.value = this.turn.text;
    this.toggle(true);
    this.area.focus();
  }

  private close(): void {
    this.toggle(false);
    this.edit.focus();
  }

  private submit(): void {
    const text = this.area.value;
    if (text.trim() === "" || this.store.occupied) return;
    this.toggle(false);
    this.store.ask({ kind: "edit", turn: this.turn.id, text });
    this.onSent();
  }

  private toggle(editing: boolean): void {
    this.editor.hidden = !editing;
    this.bubble.hidden = editing;
    this.foot.hidden = editing;
  }
}

export class AnswerTurn implements TurnView {
  readonly element: HTMLElement;
  private readonly view: RunView;
  private readonly arrows: Arrows;
  private readonly again = button("again", "Regenerate", "Answer once more; this answer is kept", () => {
    this.store.ask({ kind: "regenerate", turn: this.turn.id });
    this.onSent();
  });

  constructor(
    private readonly turn: Turn,
    private readonly store: ChatStore,
    onBranch: OnBranch,
    private readonly onSent: () => void,
  ) {
    const run = store.answer(turn.id);
    this.view = new RunView(run);
    this.arrows = new Arrows(turn, store, onBranch);
    const foot = make("div", "foot", {}, this.arrows.element, this.again);
    this.element = make("div", "answer", {}, this.view.element, foot);
    run.shown();
    this.update();
  }

  update(): void {
    this.arrows.update();
    this.again.hidden = this.store.state.busy === this.turn.id;
    this.again.disabled = this.store.occupied;
  }

  focus(part: Focused): void {
    this.arrows.focus(part);
  }

  dispose(): void {
    this.view.dispose();
    this.store.answer(this.turn.id).hidden();
    this.element.remove();
  }
}

/** Which of the branches this is, and the way to those beside it. */
class Arrows {
  readonly element: HTMLElement;
  private readonly previous = button("arrow", "‹", "Previous branch", () => this.go("previous"));
  private readonly next = button("arrow", "›", "Next branch", () => this.go("next"));
  private readonly place = make("span", "place");

  constructor(
    private readonly turn: Turn,
    private readonly store: ChatStore,
    private readonly onBranch: OnBranch,
  ) {
    this.previous.setAttribute("aria-label", "Previous branch");
    this.next.setAttribute("aria-label", "Next branch");
    const label = { role: "group", "aria-label": "Branches" };
    this.element = make("span", "arrows", label, this.previous, this.place, this.next);
  }

  update(): void {
    const siblings = this.store.siblings(this.turn);
    const index = siblings.findIndex((each) => each.id === this.turn.id);
    this.element.hidden = siblings.length < 2;
    say(this.place, `${index + 1}/${siblings.length}`);
    this.previous.disabled = index === 0 || this.store.lost;
    this.next.disabled = index === siblings.length - 1 || this.store.lost;
  }

  focus(part: Focused): void {
    const wanted = part === "previous" ? this.previous : this.next;
    const other = part === "previous" ? this.next : this.previous;
    (wanted.disabled ? other : wanted).focus();
  }

  private go(part: Focused): void {
    const siblings = this.store.siblings(this.turn);
    const index = siblings.findIndex((each) => each.id === this.turn.id);
    const turn = siblings[index + (part === "next" ? 1 : -1)];
    if (turn !== undefined) this.onBranch(turn, part);
  }
}

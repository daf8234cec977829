// One view of a chat: what was said, and where the next message is written.

import { Composer } from "./composer";
import { make } from "./dom";
import { Head } from "./head";
import type { Turn } from "./protocol";
import type { ChatStore } from "./store";
import { AnswerTurn, UserTurn, type Focused, type OnBranch, type TurnView } from "./turn";

/** Whoever is so close to the end, in pixels, goes on to see it as it grows. */
const NEAR = 48;

export class ChatView {
  readonly element: HTMLElement;
  private readonly head: Head;
  private readonly composer: Composer;
  private readonly said = make("div", "said");
  private readonly log = make("div", "log", { role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" }, this.said);
  private readonly kept = document.createElement("style");
  private readonly turns: { id: number; view: TurnView }[] = [];
  private readonly watched = new Map<number, () => void>();
  private readonly unsubscribe: () => void;
  private readonly growth: ResizeObserver | undefined;
  private following = true;
  private refocus: { place: number; part: Focused } | undefined;

  constructor(private readonly store: ChatStore) {
    this.head = new Head(store);
    this.composer = new Composer(store, () => this.onSent());
    this.element = make("section", "view", { role: "group", "aria-label": "Chat" });
    this.element.classList.add("llmkit-chat");
    this.element.append(this.kept, this.head.element, this.log, this.composer.element);
    this.log.addEventListener("scroll", () => this.onScroll());
    if (typeof ResizeObserver !== "undefined") {
      this.growth = new ResizeObserver(() => this.follow());
      this.growth.observe(this.said);
    }
    this.unsubscribe = store.subscribe(() => this.paint());
    this.paint();
  }

  dispose(): void {
    this.unsubscribe();
    this.growth?.disconnect();
    for (const unwatch of this.watched.values()) unwatch();
    for (const { view } of this.turns) view.dispose();
    this.head.dispose();
    this.composer.dispose();
    this.element.remove();
  }

  private paint(): void {
    const { store } = this;
    this.element.dataset["status"] = store.lost ? "lost" : store.state.busy === null ? "idle" : "busy";
    // The transcript that is saved with the notebook would say everything twice.
    const { kept } = store.state;
    const hides = `.${kept}, .jp-OutputArea-child:has(.${kept}) { display: none !important; }`;
    if (/^[\w-]+$/.test(kept) && this.kept.textContent !== hides) this.kept.textContent = hides;
    this.head.update();
    this.paintTurns(store.path);
    this.composer.update();
    this.follow();
  }

  /** Paths differ from some place on: what is before stays as it is, with what is open or typed there. */
  private paintTurns(path: Turn[]): void {
    let same = 0;
    while (same < path.length && path[same]!.id === this.turns[same]?.id) same += 1;
    for (const { view } of this.turns.splice(same)) view.dispose();
    for (const turn of path.slice(same)) {
      const view = this.made(turn);
      this.turns.push({ id: turn.id, view });
      this.said.append(view.element);
      if (turn.role === "assistant") this.watchCalls(turn.id);
    }
    for (const { view } of this.turns) view.update();
    if (this.refocus !== undefined) this.turns[this.refocus.place]?.view.focus(this.refocus.part);
    this.refocus = undefined;
  }

  private made(turn: Turn): TurnView {
    const onBranch: OnBranch = (to, part) => this.onBranch(to, part);
    const onSent = (): void => this.onSent();
    return turn.role === "user"
      ? new UserTurn(turn, this.store, onBranch, onSent)
      : new AnswerTurn(turn, this.store, onBranch, onSent);
  }

  /** The composer says when a call waits. */
  private watchCalls(turn: number): void {
    if (this.watched.has(turn)) return;
    this.watched.set(turn, this.store.answer(turn).subscribe(() => this.composer.update()));
  }

  private onBranch(to: Turn, part: Focused): void {
    const place = this.store.path.findIndex((turn) => turn.parent === to.parent);
    this.refocus = { place, part };
    this.store.request({ kind: "select", turn: to.id });
  }

  private onSent(): void {
    this.following = true;
    this.composer.focus();
    this.follow();
  }

  private onScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR;
  }

  private follow(): void {
    if (this.following) this.log.scrollTop = this.log.scrollHeight;
  }
}

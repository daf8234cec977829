// One run's tokens: a line of text whose tokens can be walked through.

import { button, make, write } from "./dom";
import type { By, Lane, Token } from "./protocol";
import { laneTitle, level, spoken, status } from "./words";

/** So many tokens that a branch shares with its origin show before it leaves, until they are unfolded. */
const SHARED = 12;

export interface LaneEvents {
  stop(): void;
}

export class LaneView {
  readonly element: HTMLElement;
  readonly tokens: HTMLElement[] = [];
  private readonly words: HTMLElement;
  private readonly title: HTMLElement;
  private readonly told: HTMLElement;
  private readonly error: HTMLElement;
  private readonly halt: HTMLButtonElement;
  private readonly unfold: HTMLButtonElement;
  private unfolded = false;
  private lane: Lane | undefined;
  private by: By = "probability";

  constructor(
    readonly number: number,
    events: LaneEvents,
  ) {
    this.title = make("span", "title");
    this.told = make("span", "status");
    this.halt = button("stop", "Stop", events.stop);
    this.error = make("p", "error");
    this.unfold = button("unfold", "…", () => {
      this.unfolded = true;
      this.fold();
    });
    this.words = make("div", "words", { role: "listbox", "aria-orientation": "horizontal" }, this.unfold);
    const head = make("div", "head", {}, this.title, this.told, this.halt);
    this.element = make("section", "lane", {}, head, this.words, this.error);
  }

  /** Show a lane as it is now. */
  update(lane: Lane, by: By, depth: number): void {
    const before = this.lane;
    const again = before === undefined || this.by !== by || before.status !== lane.status || before.id !== lane.id;
    this.lane = lane;
    this.by = by;
    write(this.title, laneTitle(lane));
    write(this.told, status(lane));
    write(this.error, lane.error);
    this.error.hidden = lane.error === "";
    this.halt.hidden = lane.status !== "running";
    this.words.setAttribute("aria-label", `Tokens: ${laneTitle(lane)}`);
    this.words.setAttribute("aria-busy", String(lane.status === "running"));
    this.element.style.setProperty("--llmkit-depth", String(depth));
    this.element.dataset.branch = String(lane.parent !== null);
    while (this.tokens.length > lane.tokens.length) this.tokens.pop()?.remove();
    const first = again ? 0 : Math.min(this.tokens.length, before.tokens.length);
    for (let index = first; index < lane.tokens.length; index++) this.paint(index, lane.tokens[index]!);
    this.fold();
  }

  private paint(index: number, token: Token): void {
    let element = this.tokens[index];
    if (element === undefined) {
      element = make("span", "token", { role: "option", tabindex: "-1", "data-token": String(index) });
      if (index === 0) element.tabIndex = 0;
      this.tokens.push(element);
      this.words.append(element);
    }
    const lane = this.lane!;
    write(element, token.text);
    element.setAttribute("aria-label", spoken(token));
    element.dataset.level = String(level(token, this.by));
    const own = lane.own ?? 0;
    element.dataset.shared = String(index < own);
    const changed = lane.changed.some(([from, to]) => index >= from && index < to);
    element.dataset.same = String(lane.parent !== null && lane.status !== "running" && index >= own && !changed);
    if (lane.parent !== null && index === own) element.dataset.branched = "true";
  }

  /** Hide what comes long before the branch. */
  private fold(): void {
    const hidden = this.unfolded ? 0 : Math.max(0, (this.lane?.own ?? 0) - SHARED);
    this.unfold.hidden = hidden === 0;
    this.unfold.title = `Show ${hidden} more tokens`;
    for (let index = 0; index < Math.min(this.lane?.own ?? 0, this.tokens.length); index++) {
      this.tokens[index]!.hidden = index < hidden;
    }
  }
}

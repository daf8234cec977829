// The token view: a legend, and the lanes of a run and its branches, each where it belongs in the tree.

import { announce } from "../shared/announcer";
import { ownKeys } from "../shared/keys";
import type { LiveView } from "../shared/live";
import { button, make, write } from "./dom";
import { LaneView } from "./lane";
import { Popup } from "./popup";
import type { By, Lane } from "./protocol";
import type { TokensStore } from "./store";
import { laneTitle, LEVEL_WORDS, spoken } from "./words";

export class TokensView implements LiveView {
  readonly element: HTMLElement;
  private readonly lanes: LaneView[] = [];
  private readonly list = make("div", "lanes");
  private readonly legend = make("span", "legend");
  private readonly notice = make("p", "notice", { role: "status" });
  private readonly switches: Record<By, HTMLButtonElement>;
  private readonly popup = new Popup();
  private readonly ends: (() => void)[];
  private by: By;
  /** The token whose alternatives are asked for by keyboard or click, and stay. */
  private pinned: HTMLElement | null = null;
  private known: number;

  constructor(private readonly store: TokensStore) {
    this.by = store.state.by;
    this.known = store.state.lanes.length;
    this.switches = {
      probability: button("switch", "Probability", () => this.colour("probability"), "Colour tokens by how likely each was"),
      entropy: button("switch", "Entropy", () => this.colour("entropy"), "Colour tokens by how open the choice was there"),
    };
    const group = make("span", "switches", { role: "group", "aria-label": "Colour by" }, ...Object.values(this.switches));
    const compare = make("label", "compare", { title: "Dim what a branch has in common with where it comes from" });
    const box = make("input", "box", { type: "checkbox" });
    box.addEventListener("change", () => this.element.classList.toggle("llmkit-tokens-comparing", box.checked));
    compare.append(box, " Differences");
    const keep = button("keep", "Keep", () => store.keep(this.by), "Put still text in the place of this view; that is saved with the notebook");
    const head = make("div", "toolbar", {}, group, this.legend, compare, keep);
    this.element = make("div", "view", { role: "group", "aria-label": "Tokens" }, head, this.list, this.notice, this.popup.element);
    this.element.classList.add("llmkit-tokens");
    this.ends = [store.subscribe(() => this.update()), ownKeys(this.element)];
    this.listen();
    this.update();
  }

  dispose(): void {
    for (const end of this.ends) end();
  }

  private update(): void {
    const { lanes } = this.store.state;
    for (let number = this.lanes.length; number < lanes.length; number++) {
      this.lanes.push(new LaneView(number, { stop: () => this.store.stop(number) }));
    }
    this.order(lanes).forEach((number, place) => {
      const lane = this.lanes[number]!;
      lane.update(lanes[number]!, this.by, depth(lanes, number));
      if (this.list.children[place] !== lane.element) this.list.insertBefore(lane.element, this.list.children[place] ?? null);
    });
    for (let number = this.known; number < lanes.length; number++) announce(`New branch: ${laneTitle(lanes[number]!)}`);
    this.known = lanes.length;
    for (const [by, element] of Object.entries(this.switches)) element.setAttribute("aria-pressed", String(by === this.by));
    this.key();
    write(this.notice, this.store.lost ? "The kernel is gone: nothing can branch any more." : this.store.refused);
    this.notice.hidden = this.notice.textContent === "";
    if (this.pinned !== null && !this.pinned.isConnected) this.close();
  }

  /** Each lane comes after the one that it left. */
  private order(lanes: Lane[]): number[] {
    const below = (parent: number | null): number[] =>
      lanes.flatMap((lane, number) => (lane.parent === parent ? [number, ...below(number)] : []));
    return below(null);
  }

  private key(): void {
    if (this.legend.dataset.by === this.by) return;
    this.legend.dataset.by = this.by;
    this.element.dataset.by = this.by;
    this.legend.replaceChildren(
      ...LEVEL_WORDS[this.by].map((words, place) => make("span", "key", { "data-level": String(place) }, words)),
    );
  }

  private colour(by: By): void {
    this.by = by;
    this.update();
  }

  private listen(): void {
    this.list.addEventListener("pointerover", (event) => {
      const element = tokenAt(event.target);
      if (element !== null && this.pinned === null) this.show(element);
    });
    this.element.addEventListener("pointerleave", () => {
      if (this.pinned === null) this.popup.hide();
    });
    this.list.addEventListener("click", (event) => {
      const element = tokenAt(event.target);
      if (element === null || this.pinned === element) this.close();
      else this.pin(element);
    });
    this.element.addEventListener("keydown", (event) => this.press(event));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) this.close();
    });
  }

  private press(event: KeyboardEvent): void {
    const element = tokenAt(event.target);
    if (element === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = this.pinned !== null;
    const act: Record<string, () => void> = {
      ArrowLeft: () => this.walk(element, -1),
      ArrowRight: () => this.walk(element, 1),
      Home: () => this.walk(element, -Infinity),
      End: () => this.walk(element, Infinity),
      ArrowUp: () => (open ? announce(this.popup.move(-1)) : this.leap(element, -1)),
      ArrowDown: () => (open ? announce(this.popup.move(1)) : this.leap(element, 1)),
      Enter: () => (open ? this.popup.take() || this.close() : this.pin(element)),
      " ": () => (open ? this.close() : this.pin(element)),
      Escape: () => this.close(),
    };
    const action = act[event.key];
    if (action === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** Go to another token of the lane; one whose alternatives are open takes that along. */
  private walk(from: HTMLElement, step: number): void {
    const lane = this.laneOf(from);
    const shown = lane.tokens.filter((token) => !token.hidden);
    const place = Math.max(0, Math.min(shown.length - 1, shown.indexOf(from) + step));
    this.go(from, shown[place]!);
  }

  /** Go to the lane above or below, to where its branch begins. */
  private leap(from: HTMLElement, step: number): void {
    const order = this.order(this.store.state.lanes);
    const number = order[order.indexOf(this.laneOf(from).number) + step];
    if (number === undefined) return;
    const { tokens } = this.lanes[number]!;
    const to = tokens[Math.min(this.store.state.lanes[number]!.own ?? 0, tokens.length - 1)];
    if (to !== undefined) this.go(from, to);
  }

  private go(from: HTMLElement, to: HTMLElement): void {
    const open = this.pinned !== null;
    for (const lane of [this.laneOf(from), this.laneOf(to)]) for (const token of lane.tokens) token.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
    if (open) this.pin(to);
  }

  private pin(element: HTMLElement): void {
    this.pinned?.setAttribute("aria-expanded", "false");
    this.pinned = element;
    element.setAttribute("aria-expanded", "true");
    if (document.activeElement !== element) element.focus();
    this.show(element);
    announce(spoken(this.tokenOf(element)));
  }

  private close(): void {
    this.pinned?.setAttribute("aria-expanded", "false");
    this.pinned = null;
    this.popup.hide();
  }

  private show(element: HTMLElement): void {
    const { number } = this.laneOf(element);
    const index = Number(element.dataset.token);
    const lane = this.store.state.lanes[number]!;
    const pick = this.store.branches(lane)
      ? (id: number): void => {
          this.store.branch(number, index, id);
          this.close();
        }
      : null;
    this.popup.show(this.tokenOf(element), element, pick);
  }

  private tokenOf(element: HTMLElement) {
    return this.store.state.lanes[this.laneOf(element).number]!.tokens[Number(element.dataset.token)]!;
  }

  private laneOf(element: HTMLElement): LaneView {
    return this.lanes.find((lane) => lane.element.contains(element))!;
  }
}

function tokenAt(target: EventTarget | null): HTMLElement | null {
  return target instanceof Element ? target.closest<HTMLElement>(".llmkit-tokens-token") : null;
}

function depth(lanes: Lane[], number: number): number {
  const { parent } = lanes[number]!;
  return parent === null ? 0 : 1 + depth(lanes, parent);
}

// A JSON value as a tree that grows while it is written. Keys and strings are hostile text.
// Roles and keys: https://www.w3.org/WAI/ARIA/apg/patterns/treeview/

import { make, say } from "./dom";
import { sizeWords } from "./json_words";
import { ownKeys } from "./keys";
import { long } from "./long";
import type { JSONNode } from "./partial";
import { plain } from "./visible";

/** What is nested deeper than this is folded at first. */
const DEEPEST = 3;
/** So many members of an object or array show at a time. */
const PIECE = 100;
const LONGEST_NAME = 200;

let items = 0;

export class Tree {
  readonly element = make("div", "tree", { role: "tree" });
  private readonly root: Item;
  private readonly unown: () => void;
  private active: Item;

  constructor(
    readonly node: JSONNode,
    label: string,
  ) {
    this.element.setAttribute("aria-label", label);
    this.root = this.active = new Item(null, node, 1);
    this.root.element.tabIndex = 0;
    this.element.append(this.root.element);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("click", (event) => this.onClick(event));
    this.unown = ownKeys(this.element);
  }

  /** Show what the value has become; `over` when nothing more comes. */
  update(over: boolean): void {
    this.root.update(over);
    if (!this.active.element.isConnected && this.element.isConnected) this.activate(this.root, false);
  }

  focus(): void {
    this.active.element.focus();
  }

  dispose(): void {
    this.unown();
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const item = this.itemOf(target);
    if (item === undefined || target.closest("button") !== null) return;
    this.activate(item);
    const selects = !(document.getSelection()?.isCollapsed ?? true);
    if (item.isBranch && !selects) item.toggle();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = this.active;
    if (!this.act(event.key, item)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Do what a key means; return whether it means something. */
  private act(key: string, item: Item): boolean {
    const shown = this.root.shownItems();
    const at = shown.indexOf(item);
    switch (key) {
      case "ArrowDown":
        this.activate(shown[at + 1] ?? item);
        break;
      case "ArrowUp":
        this.activate(shown[at - 1] ?? item);
        break;
      case "ArrowRight":
        if (item.isBranch && !item.expanded) item.toggle();
        else if (item.isBranch) this.activate(shown[at + 1] ?? item);
        break;
      case "ArrowLeft":
        if (item.isBranch && item.expanded) item.toggle();
        else this.activate(shown.findLast((each, index) => index < at && each.level < item.level) ?? item);
        break;
      case "Home":
        this.activate(shown[0]!);
        break;
      case "End":
        this.activate(shown.at(-1)!);
        break;
      case "Enter":
      case " ":
        item.open();
        break;
      default:
        return false;
    }
    return true;
  }

  private activate(item: Item, focus = true): void {
    this.active.element.tabIndex = -1;
    this.active = item;
    item.element.tabIndex = 0;
    if (focus) item.element.focus();
  }

  private itemOf(target: Element): Item | undefined {
    const element = target.closest("[role=treeitem]");
    return this.root.shownItems().find((item) => item.element === element);
  }
}

/** One value, with what it is called and what is in it. */
class Item {
  readonly element = make("div", "item", { role: "treeitem", tabindex: "-1" });
  expanded: boolean;
  private readonly value = make("span", "json");
  private readonly size = make("span", "size");
  private readonly group = make("div", "group", { role: "group" });
  private readonly more = make("button", "more", { type: "button", tabindex: "-1" });
  private readonly children: Item[] = [];
  private most = PIECE;
  private painted = 0;
  /** Whether what shows is all of it, as far as it goes: then there is nothing to do until it goes on. */
  private settled: "no" | "cut" | "whole" = "no";

  constructor(
    name: string | number | null,
    readonly node: JSONNode,
    readonly level: number,
  ) {
    this.expanded = level <= DEEPEST;
    const line = make("div", "line", { id: `llmkit-item-${++items}` });
    if (name !== null) line.append(nameOf(name));
    line.append(this.value, this.size);
    this.element.setAttribute("aria-level", String(level));
    this.element.setAttribute("aria-labelledby", line.id);
    this.element.append(line);
    this.value.dataset["kind"] = node.kind;
    this.more.classList.add("llmkit-run-button");
    this.more.addEventListener("click", () => this.showMore());
  }

  get isBranch(): boolean {
    return this.count > 0;
  }

  private get count(): number {
    if (this.node.kind === "object") return this.node.members.size;
    return this.node.kind === "array" ? this.node.items.length : 0;
  }

  update(over: boolean): void {
    const settled = !this.node.open ? "whole" : over ? "cut" : "no";
    if (settled !== "no" && settled === this.settled) return;
    if (this.settled === "cut") this.forgetText();
    this.settled = settled;
    this.element.toggleAttribute("data-cut", this.node.open && over);
    if (this.node.open && !over) this.element.setAttribute("aria-busy", "true");
    else this.element.removeAttribute("aria-busy");
    if (this.node.kind === "object" || this.node.kind === "array") this.updateBranch(over);
    else this.updateLeaf(over);
  }

  toggle(): void {
    this.expanded = !this.expanded;
    this.settled = "no";
    this.update(!this.node.open || this.element.hasAttribute("data-cut"));
  }

  /** Unfold it, or show the rest of its text. */
  open(): void {
    if (this.isBranch && !(this.expanded && this.more.isConnected)) this.toggle();
    else this.element.querySelector<HTMLButtonElement>(":scope > .llmkit-run-line button, :scope > .llmkit-run-group > button")?.click();
  }

  /** Return this item and those below it that aren't folded away, in order. */
  shownItems(): Item[] {
    return this.expanded ? [this, ...this.children.flatMap((child) => child.shownItems())] : [this];
  }

  private updateBranch(over: boolean): void {
    const isObject = this.node.kind === "object";
    const empty = this.count === 0;
    say(this.value, !empty ? "" : this.node.open ? (isObject ? "{" : "[") : isObject ? "{}" : "[]");
    say(this.size, empty ? "" : sizeWords(this.node));
    if (empty) return;
    this.element.setAttribute("aria-expanded", String(this.expanded));
    if (!this.expanded) this.group.remove();
    else {
      this.updateChildren(over);
      this.element.append(this.group);
    }
  }

  private updateChildren(over: boolean): void {
    let index = 0;
    for (const [name, node] of membersOf(this.node)) {
      if (index === this.most) break;
      const there = this.children[index];
      if (there?.node !== node) this.place(index, new Item(name, node, this.level + 1), there);
      this.children[index]!.update(over);
      index += 1;
    }
    const left = this.count - this.children.length;
    if (left === 0) this.more.remove();
    else {
      this.more.textContent = `… Show ${Math.min(left, PIECE).toLocaleString("en")} of ${left.toLocaleString("en")} more`;
      if (!this.more.isConnected) this.group.append(this.more);
    }
  }

  private place(index: number, item: Item, there: Item | undefined): void {
    this.children[index] = item;
    if (there !== undefined) there.element.replaceWith(item.element);
    else if (this.more.parentNode === this.group) this.more.before(item.element);
    else this.group.append(item.element);
  }

  private showMore(): void {
    this.most += PIECE;
    this.updateChildren(!this.node.open || this.element.hasAttribute("data-cut"));
  }

  private updateLeaf(over: boolean): void {
    const { kind } = this.node;
    if (kind === "number" || kind === "word") say(this.value, this.node.text);
    else if (kind === "string") this.updateText(this.node.text, this.node.open && !over);
  }

  private forgetText(): void {
    if (this.node.kind !== "string") return;
    this.value.replaceChildren();
    this.painted = 0;
  }

  /** While it grows, all of it shows; once it has ended, it is folded if it is long. */
  private updateText(text: string, grows: boolean): void {
    if (grows) {
      if (!this.value.hasChildNodes()) this.value.append('"');
      plain().paint(this.value, text.slice(this.painted));
      this.painted = text.length;
      return;
    }
    this.value.replaceChildren('"');
    long(this.value, text, plain());
    const more = this.value.querySelector("button");
    if (more !== null) more.tabIndex = -1;
    else if (!this.node.open) this.value.append('"');
  }
}

function nameOf(name: string | number): HTMLElement {
  const element = make("span", typeof name === "number" ? "position" : "member");
  plain().paint(element, String(name).slice(0, LONGEST_NAME));
  if (String(name).length > LONGEST_NAME) element.append("…");
  return element;
}

function membersOf(node: JSONNode): Iterable<[string | number, JSONNode]> {
  if (node.kind === "object") return node.members;
  return node.kind === "array" ? node.items.entries() : [];
}

// The rules in force: what is decided without asking, and a way to take each back.

import { button, make } from "../shared/dom";
import type { Rule } from "./protocol";
import type { RunStore } from "./store";
import { oneLine } from "../shared/visible";

const MOST = 30;
const ACTIONS: Record<string, string> = { allow: "allowed without asking", ask: "asked about", deny: "denied" };

export class Rules {
  readonly element: HTMLElement;
  private readonly title = make("summary", "summary");
  private readonly list = make("ul", "rules");
  private readonly store: RunStore;
  private shown: Rule[] | undefined;
  private lost = false;

  constructor(store: RunStore) {
    this.store = store;
    this.element = make("details", "rulebook", {}, this.title, this.list);
  }

  update(rules: Rule[], over: boolean, lost: boolean): void {
    this.element.hidden = rules.length === 0 || over;
    if (rules === this.shown && lost === this.lost) return;
    this.shown = rules;
    this.lost = lost;
    this.title.textContent = rules.length === 1 ? "1 rule in force" : `${rules.length} rules in force`;
    const more = rules.length > MOST ? [make("li", "quiet", {}, `… and ${rules.length - MOST} more`)] : [];
    this.list.replaceChildren(...rules.slice(0, MOST).map((rule) => this.line(rule)), ...more);
  }

  private line(rule: Rule): HTMLElement {
    const tool = oneLine(rule.tool, 60);
    const some = rule.conditional ? "Some calls of " : "Calls of ";
    const where = rule.scope === "run" ? "in this run" : "in this session";
    const words = make("span", "words", {}, some, make("code", "tool", {}, tool), ` are ${ACTIONS[rule.action]} ${where}`);
    const revoke = button("quiet-button", "Revoke", () => {
      revoke.disabled = true;
      this.store.revoke(rule.id);
    });
    revoke.setAttribute("aria-label", `Revoke the rule for ${tool}`);
    revoke.disabled = this.lost;
    return make("li", "rule", {}, words, revoke);
  }
}

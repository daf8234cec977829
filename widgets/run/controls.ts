// What a person can do about a pending call: approve, edit, deny with a reason, or make a rule of it.

import { button, make, say } from "../shared/dom";
import { Editor } from "./editor";
import type { Call, Decide, Ruled, Scope } from "./protocol";
import type { RunStore } from "./store";
import { oneLine } from "../shared/visible";

type Mode = "ask" | "edit" | "deny" | "always";

/** A kernel that hasn't answered a decision by then is probably busy with a cell. */
const SLOW = 6_000;
const LOST = "The kernel was restarted: this call can't run any more.";

export class Controls {
  readonly element: HTMLElement;
  private readonly approve = keyed("Approve", "A", "primary", () => this.send("allow"));
  private readonly edit = keyed("Edit", "E", "plain", () => this.enter("edit"));
  private readonly deny = keyed("Deny", "D", "plain", () => this.enter("deny"));
  private readonly always = button("quiet-button", "Always…", () => this.enter("always"), "Make a rule of it");
  private readonly ask = make("div", "actions", {}, this.approve, this.edit, this.deny, this.always);
  private readonly reason = make("input", "reason", { type: "text", "aria-label": "Reason", maxlength: "10000" });
  private readonly scope = make("select", "scope", { "aria-label": "How long" });
  private readonly message = make("div", "message", { role: "status" });
  private readonly modes: Record<Mode, HTMLElement>;
  private readonly editor: Editor;
  private readonly store: RunStore;
  private call: Call;
  private mode: Mode = "ask";
  private sent = false;
  private slow: ReturnType<typeof setTimeout> | undefined;

  constructor(call: Call, store: RunStore) {
    this.call = call;
    this.store = store;
    this.editor = new Editor(
      (text, answer) => store.examine(this.call.id, text, answer),
      () => this.send("allow"),
    );
    this.modes = { ask: this.ask, edit: this.editing(), deny: this.denying(), always: this.ruling() };
    this.element = make("div", "controls", {}, ...Object.values(this.modes), this.message);
    // The second click of a double click was not meant for what has moved under the pointer by then.
    this.element.addEventListener("click", (event) => event.detail > 1 && event.stopImmediatePropagation(), true);
    this.enter("ask");
  }

  update(call: Call, lost: boolean): void {
    this.call = call;
    this.element.hidden = call.status !== "pending";
    if (this.element.hidden) clearTimeout(this.slow);
    if (lost && !this.element.hidden) {
      this.enter("ask");
      this.tell(LOST, "bad");
    }
    this.disable(lost);
  }

  /** Take a key pressed on the card; return whether it meant something. */
  onKey(event: KeyboardEvent): boolean {
    if (event.key === "Escape" && this.mode !== "ask") {
      this.enter("ask");
      return true;
    }
    if (event.target === this.reason && event.key === "Enter") {
      this.send("deny");
      return true;
    }
    const inField = event.target instanceof Element && event.target.matches("input, textarea, select");
    if (inField || event.ctrlKey || event.metaKey || event.altKey || this.mode !== "ask" || this.sent) return false;
    const button = { a: this.approve, e: this.edit, d: this.deny }[event.key.toLowerCase()];
    button?.click();
    return button !== undefined;
  }

  private editing(): HTMLElement {
    const actions = make("div", "actions", {}, this.editor.done, this.back());
    return make("div", "mode", {}, this.editor.element, actions);
  }

  private denying(): HTMLElement {
    this.reason.placeholder = "Why? The model reads this.";
    const deny = button("primary", "Deny", () => this.send("deny"));
    return make("div", "mode", {}, make("div", "actions", {}, this.reason, deny, this.back()));
  }

  private ruling(): HTMLElement {
    const name = make("code", "tool", {}, oneLine(this.call.name, 40));
    const option = (scope: Scope, label: string): HTMLElement => make("option", "option", { value: scope }, label);
    this.scope.append(option("run", "in this run"), option("session", "in this session"));
    const allow = button("primary", "Always allow", () => this.send("allow", this.scope.value as Scope));
    const deny = button("plain", "Always deny", () => this.send("deny", this.scope.value as Scope));
    const what = make("span", "quiet", {}, "All calls of ", name);
    return make("div", "mode", {}, make("div", "actions", {}, what, this.scope, allow, deny, this.back()));
  }

  private back(): HTMLButtonElement {
    return button("quiet-button", "Back", () => {
      this.enter("ask");
      this.approve.focus();
    });
  }

  private enter(mode: Mode): void {
    this.mode = mode;
    this.element.dataset["mode"] = mode;
    for (const [name, element] of Object.entries(this.modes)) element.hidden = name !== mode;
    say(this.message, "");
    if (mode === "edit") this.editor.open(this.call.arguments ?? "{}");
    if (mode === "deny") this.reason.focus();
    if (mode === "always") this.scope.focus();
  }

  private send(verdict: "allow" | "deny", always?: Scope): void {
    const { id, digest } = this.call;
    if (digest === null || this.sent || this.store.lost) return;
    const decision: Omit<Decide, "kind"> = { call_id: id, digest, verdict };
    if (this.mode === "deny" && this.reason.value.trim() !== "") decision.reason = this.reason.value.trim();
    if (this.mode === "edit" && this.editor.changed) decision.arguments = this.editor.text;
    if (always !== undefined) decision.always = always;
    this.setSent(true);
    clearTimeout(this.slow);
    this.slow = setTimeout(() => this.tell("The kernel hasn't answered yet; a cell may keep it busy."), SLOW);
    this.store.decide(decision, (ruled) => this.onRuled(ruled));
  }

  /** A refused decision leaves the call pending and says why; an accepted one changes the call's state. */
  private onRuled({ accepted, refusal }: Ruled): void {
    clearTimeout(this.slow);
    if (accepted) return;
    this.setSent(false);
    this.tell(refusal || "That decision was not accepted.", "bad");
  }

  /** Buttons that are spent look so but stay enabled: the browser takes the focus from one that is disabled. */
  private setSent(sent: boolean): void {
    this.sent = sent;
    this.element.dataset["sent"] = String(sent);
  }

  private tell(text: string, tone = "calm"): void {
    say(this.message, oneLine(text, 2_000));
    this.message.dataset["tone"] = tone;
  }

  private disable(disabled: boolean): void {
    for (const each of this.element.querySelectorAll<HTMLButtonElement>("button, input, select, textarea")) {
      each.disabled = disabled;
    }
    if (!disabled) this.editor.judge();
  }
}

function keyed(label: string, key: string, name: string, press: () => void): HTMLButtonElement {
  const element = button(name, label, press);
  element.setAttribute("aria-keyshortcuts", key);
  element.append(make("kbd", "key", { "aria-hidden": "true" }, key));
  return element;
}

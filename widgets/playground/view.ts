// One view of a playground: what is asked and the answer on the left, the settings beside them, the runs below.

import { RunView } from "../run/view";
import type { RunStore } from "../run/store";
import { copy } from "../shared/copy";
import { ownKeys } from "../shared/keys";
import type { LiveView } from "../shared/live";
import { ControlView } from "./control";
import { fill, make, newId, say } from "./dom";
import { HistoryView } from "./history";
import type { PlaygroundStore } from "./store";

const COPIED_FOR = 1_500;
const KEYS = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘ Enter" : "Ctrl+Enter";

export class PlaygroundView implements LiveView {
  readonly element: HTMLElement;
  private readonly system = make("textarea", "text", { rows: "1", spellcheck: "false" });
  private readonly prompt = make("textarea", "text", { rows: "5" });
  private readonly model = make("select", "model", { "aria-label": "Model" });
  private readonly run = make("button", "go", { type: "button" }, "Run");
  private readonly copy = make("button", "button", { type: "button", title: "Copy the call that gives this answer again" }, "Copy as code");
  private readonly code = make("pre", "code", { tabindex: "0", "aria-label": "Code of the run that is shown" });
  private readonly coded = make("details", "coded", {}, make("summary", "summary", {}, "Code"), this.code);
  private readonly notice = make("p", "notice", { role: "status" });
  private readonly problems: Record<"prompt" | "system" | "model", HTMLElement>;
  private readonly controls = new Map<string, ControlView>();
  private readonly place = make("div", "answer");
  private readonly history: HistoryView;
  private readonly ends: (() => void)[];
  private answer: { store: RunStore; view: RunView } | undefined;

  constructor(private readonly store: PlaygroundStore) {
    this.problems = { prompt: problem(this.prompt), system: problem(this.system), model: problem(this.model) };
    this.history = new HistoryView((run) => store.choose(run));
    this.element = this.build();
    this.listen();
    this.ends = [store.subscribe(() => this.update()), ownKeys(this.element), this.runByKey()];
    this.update();
  }

  dispose(): void {
    for (const end of this.ends) end();
    this.answer?.view.dispose();
    this.element.remove();
  }

  private build(): HTMLElement {
    const hint = make("span", "hint", {}, KEYS);
    const bar = make("div", "bar", {}, this.run, hint, this.model, this.copy);
    const asked = make("div", "asking", {}, ...labelled("System", this.system), this.problems.system);
    asked.append(...labelled("Prompt", this.prompt), this.problems.prompt, bar, this.problems.model, this.notice);
    asked.append(this.place, this.coded, this.history.element);
    const settings = make("div", "settings", { role: "group", "aria-label": "Settings" }, make("div", "title", {}, "Settings"));
    for (const control of this.store.state.controls) {
      const view = new ControlView(control, (text) => this.store.set(control.name, text));
      this.controls.set(control.name, view);
      settings.append(view.element);
    }
    const section = make("section", "view", { role: "group", "aria-label": "Playground" }, make("div", "columns", {}, asked, settings));
    section.classList.add("llmkit-playground");
    section.append(this.hidesWhatIsKept());
    return section;
  }

  /** What a saved notebook keeps isn't needed as long as this is on the page. */
  private hidesWhatIsKept(): HTMLStyleElement {
    const style = document.createElement("style");
    const { kept } = this.store.state;
    if (/^[\w-]+$/.test(kept)) style.textContent = `.${kept}, .jp-OutputArea-child:has(.${kept}) { display: none; }`;
    return style;
  }

  private listen(): void {
    const { store } = this;
    this.system.addEventListener("input", () => store.edit({ system: this.system.value }));
    this.prompt.addEventListener("input", () => store.edit({ prompt: this.prompt.value }));
    this.model.addEventListener("change", () => store.edit({ model: this.model.value }));
    this.run.addEventListener("click", () => (store.running ? store.stop() : store.run()));
    this.copy.addEventListener("click", () => void this.onCopy());
  }

  /** Ctrl+Enter or ⌘ Enter runs what is filled in, and not the notebook's cell. */
  private runByKey(): () => void {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      if (!(event.target instanceof Node) || !this.element.contains(event.target)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!this.store.running && !this.store.lost) this.store.run();
    };
    window.addEventListener("keydown", onKey, true);
    return () => window.removeEventListener("keydown", onKey, true);
  }

  private update(): void {
    const { state, form, running, lost } = this.store;
    const { own, errors } = state;
    fill(this.system, form.system);
    fill(this.prompt, form.prompt);
    this.system.placeholder = own.system === "" ? "unset" : own.system;
    this.paintModels();
    for (const [name, view] of this.controls) {
      view.update(form.fields[name] ?? "", own.fields[name] ?? "", errors[name] ?? "");
    }
    for (const [name, element] of Object.entries(this.problems)) say(element, errors[name] ?? "");
    this.prompt.setAttribute("aria-invalid", String("prompt" in errors));
    say(this.notice, lost ? "The kernel is gone: nothing can be run here any more." : (errors[""] ?? ""));
    this.run.textContent = running ? "Stop" : "Run";
    this.run.disabled = lost;
    this.copy.hidden = this.coded.hidden = state.code === "";
    say(this.code, state.code);
    this.paintAnswer();
    this.history.update(state.runs, state.shown);
  }

  private paintModels(): void {
    const { state, form } = this.store;
    const names = [...new Set([...state.models, ...(form.model === "" ? [] : [form.model])])];
    const known = [...this.model.options].slice(1).map((option) => option.value);
    if (this.model.options.length === 0 || names.join("\n") !== known.join("\n")) {
      this.model.replaceChildren(new Option(`${state.own.model} (session)`, ""), ...names.map((name) => new Option(name, name)));
    }
    fill(this.model, form.model);
  }

  private paintAnswer(): void {
    const { answer } = this.store;
    if (this.answer?.store === answer) return;
    this.answer?.view.dispose();
    this.answer = answer === undefined ? undefined : { store: answer, view: new RunView(answer) };
    if (this.answer !== undefined) this.place.replaceChildren(this.answer.view.element);
  }

  private async onCopy(): Promise<void> {
    const copied = await copy(this.store.state.code);
    this.copy.textContent = copied ? "Copied" : "Can't copy here";
    setTimeout(() => (this.copy.textContent = "Copy as code"), COPIED_FOR);
  }
}

function labelled(name: string, field: HTMLElement): HTMLElement[] {
  field.id = newId();
  return [make("label", "label", { for: field.id }, name), field];
}

/** Make the place for what is wrong with a field, and tie them together. */
function problem(field: HTMLElement): HTMLElement {
  const element = make("p", "error", { id: newId() });
  field.setAttribute("aria-describedby", element.id);
  return element;
}

// Who answers, what the model is told first, and how to keep the chat.

import { say } from "../shared/dom";
import { oneLine } from "../shared/visible";
import { button, make } from "./dom";
import type { Format } from "./protocol";
import type { ChatStore } from "./store";
import { typing } from "./typing";

const FORMATS: [Format, string, string][] = [
  ["ipynb", "Notebook", "Save as a notebook, with a cell that asks for the same again"],
  ["md", "Markdown", "Save as Markdown"],
  ["json", "JSON", "Save all branches, to go on with: session.chat(resume=…)"],
];
const MOST_TOOLS = 200;

export class Head {
  readonly element: HTMLElement;
  private readonly model = make("span", "model");
  private readonly tools = make("span", "tools");
  private readonly area = make("textarea", "area", { "aria-label": "System prompt", rows: "2" });
  private readonly told = make("span", "hint", {}, "Holds from the next answer on.");
  private readonly exports: HTMLButtonElement[];
  private readonly untype: () => void;
  private system = "";

  constructor(private readonly store: ChatStore) {
    this.exports = FORMATS.map(([format, label, title]) =>
      button("export", label, title, () => store.request({ kind: "export", format })),
    );
    const saving = make("span", "exports", { role: "group", "aria-label": "Save the chat" }, "Save as", ...this.exports);
    const top = make("header", "header", {}, this.model, this.tools, saving);
    const summary = make("summary", "summary", {}, "System prompt");
    this.element = make("div", "head", {}, top, make("details", "system", {}, summary, this.area, this.told));
    this.area.placeholder = "What the model is told before the conversation.";
    this.area.addEventListener("change", () => this.submit());
    this.untype = typing(this.area);
  }

  update(): void {
    const { state, lost } = this.store;
    say(this.model, state.model);
    const names = state.tools.map((name) => oneLine(name, 60)).join(", ");
    say(this.tools, state.tools.length === 0 ? "" : oneLine(`Tools: ${names}`, MOST_TOOLS));
    if (this.system !== state.system && document.activeElement !== this.area) this.area.value = state.system;
    this.system = state.system;
    this.area.disabled = lost;
    for (const each of this.exports) each.disabled = lost || state.busy !== null || state.path.length === 0;
  }

  dispose(): void {
    this.untype();
  }

  private submit(): void {
    if (this.area.value !== this.store.state.system) this.store.request({ kind: "system", text: this.area.value });
  }
}

// One setting's control: its name, what it is set to, a slider where its range has two ends, and what is wrong with it.

import { fill, make, newId, say } from "./dom";
import type { Control } from "./protocol";

const UNSET = "unset";
const SWITCH: Record<string, string> = { true: "on", false: "off", none: "as the model does" };

export class ControlView {
  readonly element: HTMLElement;
  private readonly field: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
  private readonly slider: HTMLInputElement | undefined;
  private readonly reset: HTMLButtonElement;
  private readonly error: HTMLElement;

  constructor(
    private readonly control: Control,
    private readonly set: (text: string) => void,
  ) {
    const { name, help } = control;
    const id = newId();
    const label = make("label", "name", { for: id, title: help }, name);
    this.error = make("p", "error", { id: newId() });
    this.field = makeField(control, id);
    this.field.setAttribute("aria-describedby", this.error.id);
    this.reset = make("button", "reset", { type: "button", "aria-label": `Unset ${name}`, title: `Unset ${name}` }, "×");
    this.slider = this.makeSlider();
    this.element = make("div", "control", { "data-kind": control.kind }, label, ...(this.slider ? [this.slider] : []));
    this.element.append(this.field, this.reset, this.error);
    this.field.addEventListener("input", () => set(this.field.value));
    this.reset.addEventListener("click", () => {
      set("");
      this.field.focus();
    });
  }

  update(text: string, own: string, problem: string): void {
    fill(this.field, text);
    this.element.toggleAttribute("data-set", text !== "");
    this.reset.style.visibility = text === "" ? "hidden" : "visible";
    this.field.setAttribute("aria-invalid", String(problem !== ""));
    say(this.error, problem);
    const asIs = own === "" ? UNSET : own.replaceAll("\n", " ");
    if (this.field instanceof HTMLSelectElement) {
      this.field.options[0]!.textContent = own === "" ? UNSET : `${UNSET} (${SWITCH[own] ?? own})`;
    } else this.field.placeholder = asIs;
    this.slide(text, own);
  }

  private makeSlider(): HTMLInputElement | undefined {
    const { slider, name } = this.control;
    if (slider === null) return undefined;
    const range = { min: String(slider.least), max: String(slider.most), step: String(slider.step) };
    const element = make("input", "slider", { type: "range", "aria-label": `${name}, slider`, ...range });
    element.addEventListener("input", () => this.set(element.value));
    return element;
  }

  private slide(text: string, own: string): void {
    if (this.slider === undefined) return;
    const value = Number.parseFloat(text === "" ? own : text);
    const at = Number.isNaN(value) ? this.slider.min : String(value);
    if (document.activeElement !== this.slider || text === "") fill(this.slider, at);
    this.slider.setAttribute("aria-valuetext", text === "" ? `${UNSET}${own === "" ? "" : `, ${own}`}` : text);
  }
}

function makeField(control: Control, id: string): HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement {
  const common = { id, spellcheck: "false", autocomplete: "off" };
  switch (control.kind) {
    case "switch": {
      const field = make("select", "field", { id });
      const values = ["", "true", "false", ...(control.optional ? ["none"] : [])];
      field.append(...values.map((value) => new Option(SWITCH[value] ?? UNSET, value)));
      return field;
    }
    case "strings":
      return make("textarea", "field", { ...common, rows: "1", title: "A text a line; \\n is a line's end, a lone \\ means none" });
    case "pairs":
      return make("input", "field", { ...common, type: "text", title: "Token ids and biases, such as 42: -5, 7: 2.5" });
    default: {
      const inputmode = control.kind === "integer" ? "numeric" : "decimal";
      return make("input", "field", { ...common, type: "text", inputmode });
    }
  }
}

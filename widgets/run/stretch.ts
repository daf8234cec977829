// A stretch of what the model wrote: Markdown, or what an output asks for, which shows as the value that it is.

import { make, say } from "../shared/dom";
import type { JSONNode, PartialJSON } from "../shared/partial";
import { StreamedMarkdown } from "../shared/streamed";
import { Table } from "../shared/table";
import { Tree } from "../shared/tree";
import { plain } from "../shared/visible";

/** How a stretch shows: as Markdown, letter by letter, or as a JSON value. */
export type Form = "markdown" | "text" | "value";

interface Shown {
  update(text: string, over: boolean): void;
  dispose?(): void;
}

export class Stretch {
  readonly element = make("div", "answer");
  private form: Form | undefined;
  private shown: Shown | undefined;

  /** @param from Where its text starts in the run's. */
  constructor(readonly from: number) {}

  /** Show the stretch's text so far; `reading` is of a value's, and `over` when nothing more comes. */
  update(text: string, form: Form, over: boolean, reading?: PartialJSON): void {
    if (form !== this.form) this.become(form, reading);
    this.shown!.update(text, over);
  }

  dispose(): void {
    this.shown?.dispose?.();
  }

  private become(form: Form, reading: PartialJSON | undefined): void {
    this.dispose();
    this.form = form;
    this.element.replaceChildren();
    this.element.className = `llmkit-run-answer llmkit-run-${form === "markdown" ? "markdown" : "output"}`;
    if (form === "markdown") this.shown = new Markdown(this.element);
    else this.shown = form === "text" ? new Letters(this.element) : new Value(this.element, reading!);
  }
}

class Markdown {
  private readonly streamed: StreamedMarkdown;

  constructor(container: HTMLElement) {
    this.streamed = new StreamedMarkdown(container);
  }

  update(text: string, over: boolean): void {
    this.streamed.update(text);
    if (over) this.streamed.settle();
  }
}

class Letters {
  private readonly block = make("pre", "letters");
  private text = "";

  constructor(container: HTMLElement) {
    container.append(this.block);
  }

  update(text: string): void {
    if (!text.startsWith(this.text)) {
      this.block.replaceChildren();
      this.text = "";
    }
    plain().paint(this.block, text.slice(this.text.length));
    this.text = text;
  }
}

class Value {
  private readonly note = make("p", "quiet");
  private shown: Table | Tree | undefined;
  /** How many elements of an array are known to be objects. */
  private records = 0;

  constructor(
    container: HTMLElement,
    private readonly reading: PartialJSON,
  ) {
    container.append(this.note);
  }

  update(_text: string, over: boolean): void {
    const { root } = this.reading;
    if (root === undefined) return;
    const isTable = this.isTable(root);
    if (this.shown?.node !== root || isTable !== this.shown instanceof Table) {
      this.dispose();
      this.shown?.element.remove();
      this.shown = isTable ? new Table(root, "Output") : new Tree(root, "Output");
      this.note.before(this.shown.element);
    }
    this.shown.update(over || this.reading.broken);
    say(this.note, this.reading.broken ? "What follows isn't JSON. The button “JSON” shows all of the text." : "");
  }

  dispose(): void {
    this.shown?.dispose();
  }

  private isTable(root: JSONNode): root is Extract<JSONNode, { kind: "array" }> {
    if (root.kind !== "array") return false;
    if (this.shown?.node !== root) this.records = 0;
    while (root.items[this.records]?.kind === "object") this.records += 1;
    return this.records > 0 && this.records === root.items.length;
  }
}

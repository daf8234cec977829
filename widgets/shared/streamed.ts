// Markdown that grows at its end: blocks that are finished stay, only the tail is rendered again.

import type { Env } from "markdown-it";
import { blockStarts, render } from "./markdown";

export class StreamedMarkdown {
  private readonly container: HTMLElement;
  private source = "";
  private frozen = 0;
  private definitions: NonNullable<Env["references"]> = {};
  private tail: ChildNode[] = [];

  constructor(container: HTMLElement) {
    this.container = container;
  }

  /** Show `text`; quick when it continues the text that was shown before. */
  update(text: string): void {
    const source = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
    if (source === this.source) return;
    if (!source.startsWith(this.source)) this.clear();
    this.source = source;
    this.dropTail();
    this.freeze();
    // A link definition in the tail may be half written, so it must not outlive this rendering.
    const env = { references: { ...this.definitions } };
    this.tail = this.append(render(source.slice(this.frozen), env));
  }

  /** Show the whole text anew: a link definition near its end may serve a link near its start. */
  settle(): void {
    const text = this.source;
    if (this.frozen === 0) return;
    this.clear();
    this.source = text;
    this.tail = this.append(render(text));
  }

  /**
   * Freeze all blocks but the last. A block begun by an unfinished line doesn't count: `1` after a list may become
   * `1. item`, which belongs to the list.
   */
  private freeze(): void {
    const tail = this.source.slice(this.frozen);
    const lines = tail.split("\n");
    const starts = blockStarts(tail).filter((line) => line < lines.length - 1);
    const last = starts.at(-1) ?? 0;
    if (last === 0) return;
    const finished = lines.slice(0, last).join("\n") + "\n";
    const env = { references: this.definitions };
    this.append(render(finished, env));
    this.frozen += finished.length;
  }

  private append(nodes: DocumentFragment): ChildNode[] {
    const added = [...nodes.childNodes];
    this.container.append(nodes);
    return added;
  }

  private dropTail(): void {
    for (const node of this.tail) node.remove();
    this.tail = [];
  }

  private clear(): void {
    this.container.replaceChildren();
    this.source = "";
    this.frozen = 0;
    this.definitions = {};
    this.tail = [];
  }
}

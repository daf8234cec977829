import { maker } from "../shared/dom";

export { set, write } from "../shared/dom";

/** Make an element of class `llmkit-timeline-<name>` with attributes and children. */
export const make = maker("timeline");

/** Set a property of an element's own style; touch the page only on a change. */
export function style(element: HTMLElement, name: "left" | "right" | "width" | "top" | "height", value: string): void {
  if (element.style[name] !== value) element.style[name] = value;
}

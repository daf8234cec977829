type Make = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  name: string,
  attributes?: Record<string, string>,
  ...children: (Node | string)[]
) => HTMLElementTagNameMap[Tag];

/** Return what makes elements of class `llmkit-<view>-<name>`, with attributes and children. */
export function maker(view: string): Make {
  return (tag, name, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    element.className = `llmkit-${view}-${name}`;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
}

/** Make an element of class `llmkit-run-<name>` with attributes and children. */
export const make = maker("run");

/** Make a button that calls `press`. */
export function button(name: string, label: string, press: () => void, title = ""): HTMLButtonElement {
  const element = make("button", name, { type: "button", ...(title === "" ? {} : { title }) }, label);
  element.classList.add("llmkit-run-button");
  element.addEventListener("click", press);
  return element;
}

/** Set an element's text and hide it when there is none; touch the page only on a change. */
export function say(element: HTMLElement, text: string): void {
  write(element, text);
  element.hidden = text === "";
}

/** Set an element's text; touch the page only on a change. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute; touch the page only on a change. */
export function set(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

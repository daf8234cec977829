// Keys that an element takes for itself while it has the focus. JupyterLab's own shortcuts would take them first, unless
// an attribute keeps them away; those with Ctrl or Command, such as saving, are left to it.

const OWN = "data-lm-suppress-shortcuts";

/** Keep Lab's plain shortcuts away from `element`; return a function that ends it. */
export function ownKeys(element: HTMLElement): () => void {
  const onKey = ({ ctrlKey, metaKey, target }: KeyboardEvent): void => {
    const own = !(ctrlKey || metaKey);
    mark(element, own);
    // Some shortcuts, such as the arrows', are bound to whatever has the focus: Lab looks no further than that.
    if (target instanceof HTMLElement && element.contains(target)) mark(target, own);
  };
  window.addEventListener("keydown", onKey, true);
  return () => window.removeEventListener("keydown", onKey, true);
}

function mark(element: HTMLElement, own: boolean): void {
  if (own) element.setAttribute(OWN, "true");
  else element.removeAttribute(OWN);
}

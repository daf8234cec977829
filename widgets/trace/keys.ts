// Keys that an element takes for itself while it has the focus. JupyterLab's own shortcuts would take them first, unless
// an attribute keeps them away; those with Ctrl or Command, such as saving, are left to it.

const OWN = "data-lm-suppress-shortcuts";

/** Keep Lab's plain shortcuts away from `element`; return a function that ends it. */
export function ownKeys(element: HTMLElement): () => void {
  const onKey = ({ ctrlKey, metaKey }: KeyboardEvent): void => {
    if (ctrlKey || metaKey) element.removeAttribute(OWN);
    else element.setAttribute(OWN, "true");
  };
  window.addEventListener("keydown", onKey, true);
  return () => window.removeEventListener("keydown", onKey, true);
}

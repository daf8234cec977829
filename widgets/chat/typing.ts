// Areas to type in. While one has the focus, its keys are its own: JupyterLab would run the cell at Shift+Enter.

const OWN = "data-lm-suppress-shortcuts";

interface Keys {
  enter?: () => void;
  escape?: () => void;
}

/**
 * Let `area` keep its keys, all but saving, and call a function at Enter (Shift+Enter is a new line) and at Escape;
 * return a function that ends it.
 */
export function typing(area: HTMLTextAreaElement, { enter, escape }: Keys = {}): () => void {
  area.setAttribute(OWN, "true");
  const yieldSaving = (event: KeyboardEvent): void => {
    if (saves(event)) area.removeAttribute(OWN);
    else area.setAttribute(OWN, "true");
  };
  area.addEventListener("keydown", (event) => {
    if (saves(event)) return;
    event.stopPropagation();
    if (event.isComposing) return; // the Enter that ends a composition chooses a character
    if (event.key === "Escape" && escape !== undefined) escape();
    else if (event.key === "Enter" && !event.shiftKey && enter !== undefined) enter();
    else return;
    event.preventDefault();
  });
  // Lab looks for the attribute as early as this.
  window.addEventListener("keydown", yieldSaving, true);
  return () => window.removeEventListener("keydown", yieldSaving, true);
}

function saves({ key, ctrlKey, metaKey }: KeyboardEvent): boolean {
  return (ctrlKey || metaKey) && key.toLowerCase() === "s";
}

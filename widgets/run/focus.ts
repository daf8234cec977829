// When a card may take the keyboard's focus: never from somebody who types.

/** A key pressed this recently means that another one may follow. */
const TYPING = 1_500;
const TAKEN = [
  "input, textarea, select, button, a[href], iframe, [contenteditable]:not([contenteditable='false']), .cm-editor *",
  "[role=button], [role=menuitem], [role=tab], [role=treeitem], dialog *, .lm-Menu *, .jp-Dialog *",
].join(", ");

let typedAt = -Infinity;
let watchers = 0;

/** Take note of typing on this page; return a function that ends it. */
export function watchTyping(): () => void {
  if (watchers++ === 0) window.addEventListener("keydown", onKey, true);
  return () => {
    if (--watchers === 0) window.removeEventListener("keydown", onKey, true);
  };
}

/** Whether the focus is where nobody would miss it: on the page or on the notebook as such. */
export function focusIsFree(): boolean {
  const active = document.activeElement;
  if (performance.now() - typedAt < TYPING) return false;
  return active === null || active === document.body || !active.matches(TAKEN);
}

function onKey(event: KeyboardEvent): void {
  const types = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (types) typedAt = performance.now();
}

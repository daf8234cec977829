// What a screen reader hears.

const KEEP = 30_000;

/** One live region for the page, outside the output: a finished run's output is replaced while it is being read. */
export function announce(text: string): void {
  const line = document.createElement("p");
  line.textContent = text;
  region().append(line);
  setTimeout(() => line.remove(), KEEP);
}

function region(): HTMLElement {
  const there = document.querySelector<HTMLElement>(".llmkit-announcer");
  if (there !== null) return there;
  const region = document.createElement("div");
  region.className = "llmkit-announcer";
  region.setAttribute("role", "log");
  region.setAttribute("aria-live", "polite");
  document.body.append(region);
  return region;
}

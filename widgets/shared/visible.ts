// Hostile text on the page: nothing in it is markup, and nothing in it hides.

/**
 * Characters that don't show or that change how their neighbours do: control and format characters, among them those
 * that turn the direction of text, lone surrogates, private ones, fillers and the second set of variation selectors.
 */
const HIDDEN =
  /\n|\t|(?:(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u2800\u3164\uffa0\u{e0100}-\u{e01ef}])+/gu;
/** In JSON text that the kernel wrote, what is hidden is escaped already. */
const ESCAPE = /(?:\\u[0-9a-f]{4})+|\\[^u]/gi;
const SHORT_ESCAPES: Record<string, string> = { "\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\", "\\/": "/" };

/** Shows a text in pieces, which are appended to an element. */
export interface Painter {
  /** How a text to be painted writes the end of a line. */
  readonly lineBreak: string;
  paint(into: HTMLElement, piece: string): void;
}

/** Return a painter of plain text. */
export function plain(): Painter {
  return {
    lineBreak: "\n",
    paint(into, piece) {
      mark(into, piece, HIDDEN, (found) => (found === "\n" || found === "\t" ? found : null));
    },
  };
}

/** Return a painter of JSON text; with `decode`, of the inside of a string, whose line breaks are line breaks. */
export function json(decode = false): Painter {
  let held = "";
  return {
    lineBreak: decode ? "\\n" : "\n",
    paint(into, piece) {
      const text = held + piece;
      held = /(?<!\\)(?:\\\\)*(\\(?:u[0-9a-f]{0,3})?)$/i.exec(text.slice(-8))?.[1] ?? "";
      mark(into, text.slice(0, text.length - held.length), ESCAPE, (found) => {
        if (decode && found in SHORT_ESCAPES) return SHORT_ESCAPES[found]!;
        return /^\\u/i.test(found) || decode ? null : found;
      });
    },
  };
}

/** Return `text` with hidden characters written out, for places that take no elements. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (found) => (found === "\n" || found === "\t" ? found : escapeOf(found)));
}

/** Return the beginning of `text` on one line, with nothing hidden. */
export function oneLine(text: string, longest: number): string {
  const start = text.slice(0, longest).replace(/\s+/g, " ");
  return visible(text.length > longest ? `${start}…` : start);
}

/** Append `text`; what `pattern` finds becomes what `meant` says, or is shown as an escape when that's `null`. */
function mark(into: HTMLElement, text: string, pattern: RegExp, meant: (found: string) => string | null): void {
  let run = "";
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    run += text.slice(from, match.index);
    from = match.index + match[0].length;
    const replacement = meant(match[0]);
    if (replacement !== null) {
      run += replacement;
      continue;
    }
    into.append(run, hidden(match[0]));
    run = "";
  }
  into.append(run + text.slice(from));
}

function hidden(found: string): HTMLElement {
  const element = document.createElement("span");
  element.className = "llmkit-run-hidden-character";
  element.title = "A character that doesn't show by itself";
  element.textContent = found.startsWith("\\") ? found : escapeOf(found);
  return element;
}

function escapeOf(characters: string): string {
  return characters
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

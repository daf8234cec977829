// What two texts have in common, word by word.

/** A stretch of both texts, of the first alone (`left`), or of the second alone (`right`). */
export interface Piece {
  kind: "both" | "left" | "right";
  text: string;
}

/** So many comparisons at most: a table of that many numbers is 16 MB and takes some 50 ms. */
const MOST = 8_000_000;

/** Return the pieces of both texts in order; those of the first alone come before those of the second. */
export function diff(left: string, right: string): Piece[] {
  return (
    compared(left.match(/\s+|[\p{L}\p{M}\p{N}_]+|[^]/gu) ?? [], right.match(/\s+|[\p{L}\p{M}\p{N}_]+|[^]/gu) ?? []) ??
    compared(left.split(/(?<=\n)/), right.split(/(?<=\n)/)) ??
    joined([{ kind: "left", text: left }, { kind: "right", text: right }])
  );
}

/** Return the share of the words that both have. */
export function likeness(pieces: Piece[]): number {
  const length = (kind: Piece["kind"]): number =>
    pieces.reduce((sum, piece) => sum + (piece.kind === kind ? piece.text.length : 0), 0);
  const both = 2 * length("both");
  return both === 0 ? 0 : both / (both + length("left") + length("right"));
}

function compared(left: string[], right: string[]): Piece[] | undefined {
  let start = 0;
  while (start < Math.min(left.length, right.length) && left[start] === right[start]) start += 1;
  let end = 0;
  while (end < Math.min(left.length, right.length) - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  const one = left.slice(start, left.length - end);
  const other = right.slice(start, right.length - end);
  if ((one.length + 1) * (other.length + 1) > MOST) return undefined;
  return joined([
    { kind: "both", text: left.slice(0, start).join("") },
    ...walk(one, other),
    { kind: "both", text: left.slice(left.length - end).join("") },
  ]);
}

/** The longest common subsequence, by a table of the lengths of those of all the rests. */
function walk(one: string[], other: string[]): Piece[] {
  const width = other.length + 1;
  const lengths = new Uint16Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--) {
    for (let j = other.length - 1; j >= 0; j--) {
      const at = i * width + j;
      lengths[at] =
        one[i] === other[j] ? lengths[at + width + 1]! + 1 : Math.max(lengths[at + width]!, lengths[at + 1]!);
    }
  }
  const pieces: Piece[] = [];
  let i = 0;
  let j = 0;
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) {
      pieces.push({ kind: "both", text: one[i]! });
      i += 1;
      j += 1;
    } else if (j >= other.length || (i < one.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!)) {
      pieces.push({ kind: "left", text: one[i++]! });
    } else {
      pieces.push({ kind: "right", text: other[j++]! });
    }
  }
  return pieces;
}

/** Join neighbours of a kind; spaces alone between two changes belong to both changes. */
function joined(pieces: Piece[]): Piece[] {
  const result: Piece[] = [];
  let left = "";
  let right = "";
  const flush = (): void => {
    if (left !== "") result.push({ kind: "left", text: left });
    if (right !== "") result.push({ kind: "right", text: right });
    left = right = "";
  };
  pieces.forEach(({ kind, text }, index) => {
    if (text === "") return;
    const next = pieces[index + 1]?.kind;
    const between = kind === "both" && left + right !== "" && next !== undefined && next !== "both";
    if (kind === "left") left += text;
    else if (kind === "right") right += text;
    else if (between && left !== "" && right !== "" && /^ +$/.test(text)) {
      left += text;
      right += text;
    } else {
      flush();
      const last = result.at(-1);
      if (last?.kind === "both") last.text += text;
      else result.push({ kind, text });
    }
  });
  flush();
  return result;
}

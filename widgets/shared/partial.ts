// JSON that is still being written, as a tree that grows: the twin of llmkit/output/partial.py, which a shared list of
// cases holds to the same answers. The tree keeps what JavaScript's own values would lose: the order of names such as
// "2", a name such as "__proto__", every digit of a number, and what is still open.

export interface ObjectNode {
  readonly kind: "object";
  /** A name that comes twice keeps its place and has its later value. */
  readonly members: Map<string, JSONNode>;
  open: boolean;
}

export interface ArrayNode {
  readonly kind: "array";
  readonly items: JSONNode[];
  open: boolean;
}

export interface StringNode {
  readonly kind: "string";
  text: string;
  open: boolean;
}

/** A number or a word, as it is written. */
export interface AtomNode {
  readonly kind: "number" | "word";
  readonly text: string;
  readonly open: false;
}

export type JSONNode = ObjectNode | ArrayNode | StringNode | AtomNode;

interface Level {
  node: ObjectNode | ArrayNode;
  /** Of an object: the name whose value is being read. */
  name: string;
  expects: "first" | "name" | "colon" | "value" | "after";
}

interface OpenText {
  node: StringNode;
  isName: boolean;
  /** The half of a character that waits for the other. */
  half: string;
}

const BLANKS = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\x00-\x1f]*/y;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const NUMBER_CHARACTERS = /[-+.0-9eE]*/y;
const HEX = /^[0-9a-fA-F]{4}$/;
const MOST_DIGITS = 4_000;
const WORDS: Record<string, string> = { t: "true", f: "false", n: "null" };
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Broken extends Error {}

/**
 * Reads a JSON text piece by piece. A number or word shows once it is whole, a name once its value begins. Reading takes
 * time in proportion to the text's length, however it is cut, and no depth of nesting is too much for it. Text that
 * isn't JSON ends the reading: `broken` is true, and the tree stays as it was.
 */
export class PartialJSON {
  root: JSONNode | undefined;
  broken = false;
  private seen = "";
  private rest = "";
  private levels: Level[] = [];
  private text: OpenText | undefined;
  private at = 0;

  /** Whether the value is closed. */
  get whole(): boolean {
    return this.root !== undefined && this.levels.length === 0 && this.text === undefined;
  }

  /** Take the whole text so far; quick when it continues what was taken before. */
  update(text: string): void {
    if (text === this.seen) return;
    if (!text.startsWith(this.seen)) this.reset();
    this.feed(text.slice(this.seen.length));
    this.seen = text;
  }

  /** Read a piece. */
  feed(piece: string): void {
    if (this.broken) return;
    this.rest += piece;
    this.at = 0;
    try {
      while (this.step());
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      this.broken = true;
    }
    this.rest = this.rest.slice(this.at);
  }

  /** Say that the text has ended, which makes a last number certain; if it still isn't whole, it was cut. */
  close(): void {
    if (this.text === undefined && /^[-0-9]/.test(this.rest)) this.feed("\n");
  }

  private reset(): void {
    Object.assign(this, { root: undefined, broken: false, seen: "", rest: "", levels: [], text: undefined });
  }

  /** Read one thing; return whether there may be another. */
  private step(): boolean {
    if (this.text !== undefined) return this.stepText(this.text);
    this.at += this.match(BLANKS).length;
    const character = this.rest[this.at];
    if (character === undefined) return false;
    if (this.whole) throw new Broken();
    const level = this.levels.at(-1);
    return level === undefined ? this.stepValue(character) : this.stepWithin(level, character);
  }

  private stepWithin(level: Level, character: string): boolean {
    const isObject = level.node.kind === "object";
    const expectsName = isObject && (level.expects === "first" || level.expects === "name");
    if (character === (isObject ? "}" : "]") && (level.expects === "first" || level.expects === "after")) {
      this.levels.pop();
      level.node.open = false;
    } else if (character === "," && level.expects === "after") level.expects = isObject ? "name" : "value";
    else if (character === '"' && expectsName) this.text = openText(true);
    else if (character === ":" && level.expects === "colon") level.expects = "value";
    else if ((level.expects === "first" || level.expects === "value") && !expectsName) return this.stepValue(character);
    else throw new Broken();
    this.at += 1;
    return true;
  }

  private stepValue(character: string): boolean {
    if (character === "{" || character === "[") {
      const node: ObjectNode | ArrayNode =
        character === "{" ? { kind: "object", members: new Map(), open: true } : { kind: "array", items: [], open: true };
      this.put(node);
      this.levels.push({ node, name: "", expects: "first" });
    } else if (character === '"') {
      this.text = openText(false);
      this.put(this.text.node);
    } else return character in WORDS ? this.stepWord(WORDS[character]!) : this.stepNumber();
    this.at += 1;
    return true;
  }

  private stepWord(word: string): boolean {
    const found = this.rest.slice(this.at, this.at + word.length);
    if (!word.startsWith(found)) throw new Broken();
    if (found !== word) return false;
    this.put({ kind: "word", text: word, open: false });
    this.at += word.length;
    return true;
  }

  private stepNumber(): boolean {
    const found = this.match(NUMBER_CHARACTERS);
    if (found === "" || found.length > MOST_DIGITS) throw new Broken();
    if (this.at + found.length === this.rest.length) return false;
    if (!NUMBER.test(found)) throw new Broken();
    this.put({ kind: "number", text: found, open: false });
    this.at += found.length;
    return true;
  }

  /** Read a run of plain characters, an escape or the closing quote. */
  private stepText(text: OpenText): boolean {
    const plain = this.match(PLAIN);
    const character = this.rest[this.at + plain.length];
    if (plain !== "") add(text, plain);
    this.at += plain.length;
    if (character === undefined) return false;
    if (character === "\\") return this.stepEscape(text);
    if (character !== '"') throw new Broken();
    add(text, "");
    this.endText(text);
    this.at += 1;
    return true;
  }

  private stepEscape(text: OpenText): boolean {
    const letter = this.rest[this.at + 1];
    if (letter === undefined) return false;
    if (letter !== "u") {
      if (!(letter in ESCAPES)) throw new Broken();
      add(text, ESCAPES[letter]!);
      this.at += 2;
      return true;
    }
    const digits = this.rest.slice(this.at + 2, this.at + 6);
    if (digits.length < 4) return false;
    if (!HEX.test(digits)) throw new Broken();
    addUnit(text, parseInt(digits, 16));
    this.at += 6;
    return true;
  }

  private endText({ node, isName }: OpenText): void {
    this.text = undefined;
    node.open = false;
    if (!isName) return;
    const level = this.levels.at(-1)!;
    level.name = node.text;
    level.expects = "colon";
  }

  /** Put a value where it belongs. */
  private put(node: JSONNode): void {
    const level = this.levels.at(-1);
    if (level === undefined) {
      this.root = node;
      return;
    }
    if (level.node.kind === "array") level.node.items.push(node);
    else level.node.members.set(level.name, node);
    level.expects = "after";
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    return pattern.exec(this.rest)![0];
  }
}

function openText(isName: boolean): OpenText {
  return { node: { kind: "string", text: "", open: true }, isName, half: "" };
}

function add(text: OpenText, piece: string): void {
  text.node.text += text.half + piece;
  text.half = "";
}

/** Add a UTF-16 code unit; the first half of a character isn't shown before the second. */
function addUnit(text: OpenText, unit: number): void {
  const isFirstHalf = unit >= 0xd800 && unit <= 0xdbff;
  add(text, isFirstHalf ? "" : String.fromCharCode(unit));
  if (isFirstHalf) text.half = String.fromCharCode(unit);
}

/** A part of a line in one style. */
export interface Piece {
  text: string;
  /** Classes of its style: sgr-1 (bold), sgr-31 (red), sgr-101 (on bright red) … */
  classes: string;
}

/** CSI, OSC, the other strings, and the short escapes. */
const escapes = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\r/g;

/** What is no text: control characters, and those that turn the direction of what follows. */
const controls = /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;
const turning = /[\u202a-\u202e\u2066-\u2069]/g;

interface Style {
  fore: number;
  back: number;
  effects: Set<number>;
}

/** Turns of effects: the code that ends them. */
const endings: { [code: number]: number[] } = { 22: [1, 2], 23: [3], 24: [4], 27: [7], 29: [9] };

/** The nearest of the sixteen colours, whose contrast the themes see to. */
function nearest(r: number, g: number, b: number): number {
  const high = Math.max(r, g, b);
  const low = Math.min(r, g, b);
  if (high - low < 32) return high < 64 ? 30 : high < 160 ? 90 : high < 224 ? 37 : 97;
  const half = (high + low) / 2;
  const bits = (r > half ? 1 : 0) | (g > half ? 2 : 0) | (b > half ? 4 : 0);
  return (high > 200 ? 90 : 30) + bits;
}

function indexed(n: number): number {
  if (n < 8) return 30 + n;
  if (n < 16) return 82 + n;
  if (n >= 232) return nearest((n - 232) * 10 + 8, (n - 232) * 10 + 8, (n - 232) * 10 + 8);
  const level = (v: number) => (v === 0 ? 0 : 55 + v * 40);
  return nearest(level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6));
}

function apply(style: Style, parameters: string): void {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 0) {
      Object.assign(style, { fore: 0, back: 0 });
      style.effects.clear();
    } else if ([1, 2, 3, 4, 7, 9].includes(code)) style.effects.add(code);
    else if (endings[code]) endings[code].forEach((ended) => style.effects.delete(ended));
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style.fore = code;
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) style.back = code;
    else if (code === 39) style.fore = 0;
    else if (code === 49) style.back = 0;
    else if (code === 38 || code === 48) {
      const wide = codes[i + 1] === 2;
      const colour = wide ? nearest(codes[i + 2] ?? 0, codes[i + 3] ?? 0, codes[i + 4] ?? 0) : indexed((codes[i + 2] ?? 0) & 255);
      if (code === 38) style.fore = colour;
      else style.back = colour + 10;
      i += wide ? 4 : 2;
    }
  }
}

function classes({ fore, back, effects }: Style): string {
  return [...effects, fore, back].filter(Boolean).map((code) => `sgr-${code}`).join(" ");
}

/**
 * What a terminal would show of a line: colours as classes, other escapes left out,
 * and of what was overwritten behind a carriage return only what was written last.
 */
export function pieces(line: string): Piece[] {
  const found: Piece[] = [];
  const style: Style = { fore: 0, back: 0, effects: new Set() };
  let overwrite = false;
  const add = (raw: string) => {
    const text = raw.replace(controls, "").replace(turning, "\ufffd");
    if (text === "") return;
    if (overwrite) found.length = 0;
    overwrite = false;
    found.push({ text, classes: classes(style) });
  };
  let from = 0;
  for (const match of line.matchAll(escapes)) {
    add(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[0] === "\r") overwrite = true;
    else if (match[2] === "m" && /^[\d;:]*$/.test(match[1] ?? "")) apply(style, match[1] ?? "");
  }
  add(line.slice(from));
  return found;
}

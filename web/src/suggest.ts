/** A field of the search language, as the page tells of it. */
export interface Field {
  name: string;
  /** Other names it is written by. */
  other?: string[];
  /** What it is, in the page's language. */
  help?: string;
  /** Values it may have, where there are few. */
  values?: string[];
}

/** What may stand in place of the word at the caret. */
export interface Suggestion {
  from: number;
  to: number;
  insert: string;
  label: string;
  help: string;
}

/**
 * Reads what the page tells of the fields: a list of them, or
 * `{"fields": names, "states": values of the first}`.
 */
export function fieldsOf(json: string | undefined): Field[] {
  try {
    const told = JSON.parse(json ?? "[]") as (Field | string)[] | { fields: (Field | string)[]; states?: string[] };
    const list = (Array.isArray(told) ? told : told.fields).map((field) => (typeof field === "string" ? { name: field } : field));
    const states = Array.isArray(told) ? undefined : told.states;
    if (list[0] && states) list[0].values ??= states;
    return list;
  } catch {
    return [];
  }
}

const most = 12;

function fold(word: string): string {
  return word.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Where the word at the caret begins: behind a space, a parenthesis, or a minus. A quoted text is no word. */
export function wordAt(query: string, caret: number): number | undefined {
  let start = 0;
  let quoted = false;
  for (let i = 0; i < caret; i++) {
    const c = query[i]!;
    if (c === "\\" && quoted) i++;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && /[\s()]/.test(c)) start = i + 1;
  }
  if (query[start] === "-" && caret > start) start++;
  return quoted ? undefined : start;
}

function quote(value: string): string {
  return /^[^\s()":]+$/.test(value) && !value.startsWith("-") ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/** What may be written at the caret of a search: names of fields, or values of the field that was begun. */
export function suggest(query: string, caret: number, fields: Field[]): Suggestion[] {
  const start = wordAt(query, caret);
  if (start === undefined) return [];
  const word = query.slice(start, caret);
  const colon = word.indexOf(":");
  if (colon < 0) {
    return fields
      .filter((field) => [field.name, ...(field.other ?? [])].some((name) => fold(name).startsWith(fold(word))))
      .slice(0, most)
      .map((field) => ({ from: start, to: caret, insert: `${field.name}:`, label: `${field.name}:`, help: field.help ?? "" }));
  }
  const name = fold(word.slice(0, colon));
  const begun = fold(word.slice(colon + 1));
  const field = fields.find((field) => [field.name, ...(field.other ?? [])].some((other) => fold(other) === name));
  return (field?.values ?? [])
    .filter((value) => fold(value).startsWith(begun) && fold(value) !== begun)
    .slice(0, most)
    .map((value) => ({ from: start + colon + 1, to: caret, insert: `${quote(value)} `, label: value, help: "" }));
}

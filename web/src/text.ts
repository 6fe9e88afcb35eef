/** Words come from the page, so that there is one catalogue for pages and scripts. */

type Entry = string | { [form: string]: string };

let entries: { [key: string]: Entry } | undefined;

function catalogue(): { [key: string]: Entry } {
  if (!entries) {
    try {
      entries = JSON.parse(document.getElementById("texts")?.textContent || "{}") as { [key: string]: Entry };
    } catch {
      entries = {};
    }
  }
  return entries;
}

/** The language of the page. */
export function language(): string {
  return document.documentElement.lang || "en";
}

/** A number as the page's language writes it. */
export function number(n: number, options?: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat(language(), options).format(n);
}

function fill(pattern: string, args: { [name: string]: string | number }): string {
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = args[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** The text of a key, or the key where the page has none. {name} stands for an argument. */
export function text(key: string, args: { [name: string]: string | number } = {}): string {
  const entry = catalogue()[key];
  return typeof entry === "string" ? fill(entry, args) : key;
}

/**
 * The text of a key for a number, {n}: the entry is an object of the forms of
 * CLDR, or there are keys that end with them ("js.new.one", "js.new.other").
 */
export function plural(key: string, n: number): string {
  const form = new Intl.PluralRules(language()).select(n);
  const all = catalogue();
  const entry = all[key];
  const forms = typeof entry === "object" ? entry : undefined;
  const pattern = forms?.[form] ?? all[`${key}.${form}`] ?? forms?.["other"] ?? all[`${key}.other`] ?? entry;
  return typeof pattern === "string" ? fill(pattern, { n }) : `${number(n)} ${key}`;
}

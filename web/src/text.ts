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

function fill(pattern: string, args: (string | number)[]): string {
  return pattern.replace(/\{(\d+)\}/g, (whole, at: string) => {
    const value = args[Number(at)];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** The text of a form of CLDR's, else of "other". The names of forms may begin with a capital. */
function pattern(key: string, form: string): string {
  const entry = catalogue()[key];
  if (typeof entry !== "object") return entry ?? key;
  const capital = form[0]!.toUpperCase() + form.slice(1);
  return entry[form] || entry[capital] || entry["other"] || entry["Other"] || key;
}

/** The text of a key, or the key where the page has none. {0}, {1} … stand for the arguments. */
export function text(key: string, ...args: (string | number)[]): string {
  return fill(pattern(key, "other"), args);
}

/** The text of a key for a number, which is {0} in it. */
export function plural(key: string, n: number, ...args: (string | number)[]): string {
  return fill(pattern(key, new Intl.PluralRules(language()).select(n)), [n, ...args]);
}

/** The time zone that times are shown in; undefined is the browser's. */
export function zone(): { timeZone?: string } {
  const timeZone = document.documentElement.dataset["zone"];
  return timeZone ? { timeZone } : {};
}

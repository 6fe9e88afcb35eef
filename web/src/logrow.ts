import { pieces } from "./ansi";
import { make } from "./dom";
import type { LogLine } from "./lines";
import { language, number, text, zone } from "./text";

/** How rows are drawn. */
export interface Look {
  /** "", "absolute", or "since" the time below. */
  times: string;
  since: number;
  /** What is searched for, marked in the text. */
  search: RegExp | undefined;
}

const longest = 5000;
let clock: Intl.DateTimeFormat | undefined;
const address = /\bhttps?:\/\/[^\s<>"'`\\]+[^\s<>"'`\\.,;:!?)\]}]/g;

/** What finds a text whatever its case, as the server does. */
export function finder(words: string): RegExp | undefined {
  return words === "" ? undefined : new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
}

/** A line as a row: number, time, mark of the stream, and text, which alone is copied. */
export function drawRow(n: number, line: LogLine | undefined, look: Look): HTMLElement {
  const row = make("div", { class: "log-row", "data-n": n, "data-stream": line?.stream ?? "" });
  row.append(make("a", { class: "log-n", href: `#L${n}`, tabindex: "-1", text: n }));
  if (look.times) row.append(make("span", { class: "log-time", text: line ? time(line.at, look) : "" }));
  const error = line?.stream === "stderr";
  row.append(make("span", { class: "log-mark", title: error ? "stderr" : undefined, text: error ? "!" : "" }));
  const place = make("span", { class: "log-text" });
  if (line) write(place, line.text, look.search);
  row.append(place);
  return row;
}

function write(place: HTMLElement, line: string, search: RegExp | undefined): void {
  let left = longest;
  let more = 0;
  for (const { text: words, classes } of pieces(line)) {
    const shown = words.slice(0, left);
    more += words.length - shown.length;
    left -= shown.length;
    if (shown === "") continue;
    const parent = classes ? make("span", { class: classes }) : place;
    split(parent, shown, address, (found) => {
      const link = make("a", { href: found, target: "_blank", rel: "noopener noreferrer" });
      split(link, found, search, (hit) => make("mark", { text: hit }));
      return link;
    }, (rest) => split(parent, rest, search, (hit) => make("mark", { text: hit })));
    if (parent !== place) place.append(parent);
  }
  if (more > 0) place.append(make("em", { text: ` … +${number(more)}`, title: text("js.log.long") }));
}

/** Appends a text whose matches become elements. */
function split(parent: HTMLElement, words: string, pattern: RegExp | undefined, element: (found: string) => Node, plain = (rest: string) => parent.append(rest)): void {
  let from = 0;
  for (const match of pattern ? words.matchAll(pattern) : []) {
    if (match.index > from) plain(words.slice(from, match.index));
    parent.append(element(match[0]));
    from = match.index + match[0].length;
  }
  if (from < words.length) plain(words.slice(from));
}

function time(at: string, look: Look): string {
  const moment = Date.parse(at);
  if (look.times === "since") {
    const ms = Math.max(0, moment - look.since);
    const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
    return `+${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
  }
  clock ??= new Intl.DateTimeFormat(language(), { ...zone(), hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
  return clock.format(moment);
}

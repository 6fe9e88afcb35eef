/**
 * How what the server says now comes into the page that is open: htmx fetches and
 * morphs, and here is what of the reader's must survive it.
 */
import htmx from "htmx.org";

/** A request of ours, which htmx carries along with its own context. */
export interface Visit {
  /** Rows of lists are replaced too, in the order of the server. */
  lists: boolean;
  /** Called with the answer before anything changes; false leaves the page as it is. */
  arrived(answer: Answer): boolean;
  /** Whether the answer came into the page. */
  done: boolean;
}

/** A page that was fetched. */
export interface Answer {
  status: number;
  url: URL;
  redirected: boolean;
  page: Document;
  context: HtmxContext;
}

/** What of htmx's context of a request is used. */
export interface HtmxContext {
  visit?: Visit;
  text: string;
  push?: string | null;
  replace?: string | null;
  response: { status: number; raw: Response };
}

interface HtmxApi {
  morph(old: Element, fragment: DocumentFragment, inner: boolean): void;
}

let api: HtmxApi | undefined;
let current: Visit | undefined;

/** What is told on the document when parts of the page are new. */
export const refreshed = "distro:refreshed";

/** What scripts show or hide themselves. */
const ours = "[data-bulk] > *, [data-bulk-all], [data-live-new], [data-copy]";

/** Elements whose inside is made by scripts; of a fresh one they take where they read from. */
const kept = "d-live, d-log, d-query, [data-keep]";

const rowsOf = "tbody[data-live-rows]";

/** Keeps what the reader did: rows stay in place, times as they are shown, what was typed. */
function beforeNode(old: unknown, fresh: unknown): boolean {
  if (!(old instanceof Element) || !(fresh instanceof Element)) return true;
  if (old.matches(kept)) {
    for (const { name, value } of fresh.attributes) {
      if (name !== "hidden" && name !== "class" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    return false;
  }
  if (old.matches(rowsOf)) return Boolean(current?.lists) || !old.querySelector("tr[data-job]");
  if (old.matches("thead")) return !old.querySelector("[data-js-all]");
  if (old.matches("time[data-rel]")) return old.getAttribute("datetime") !== fresh.getAttribute("datetime");
  if (old instanceof HTMLTextAreaElement) return old.value === old.defaultValue;
  return true;
}

function beforeAttribute(element: Element, name: string): boolean {
  switch (name) {
    case "open":
      return !element.matches("details, dialog");
    case "hidden":
      return !element.matches(ours);
    case "value":
      return !(element instanceof HTMLInputElement) || element.value === element.defaultValue;
    default:
      return true;
  }
}

function beforeSwap(event: Event): void {
  const { ctx } = (event as CustomEvent<{ ctx: HtmxContext }>).detail;
  const visit = ctx.visit;
  if (!visit) return;
  const raw = ctx.response.raw;
  const page = new DOMParser().parseFromString(ctx.text, "text/html");
  const answer = { status: raw.status, url: new URL(raw.url, location.href), redirected: raw.redirected, page, context: ctx };
  if (visit.arrived(answer)) {
    current = visit;
    visit.done = true;
  } else {
    event.preventDefault();
  }
}

/** Sets htmx up. It must be called before htmx looks at the page. */
export function setUp(): void {
  Object.assign(htmx.config, { history: "reload", includeIndicatorCSS: false, defaultTimeout: 30_000 });
  htmx.config.morphIgnore = ["data-htmx-powered", "data-js-"];
  htmx.registerExtension("distro", {
    init: (given: HtmxApi) => (api = given),
    htmx_before_morph_node: (_: Element, detail: { oldNode: unknown; newNode: unknown }) => beforeNode(detail.oldNode, detail.newNode),
    htmx_before_morph_attr: (element: Element, detail: { attrName: string }) => beforeAttribute(element, detail.attrName),
  } as never);
  document.addEventListener("htmx:before:swap", beforeSwap);
  document.addEventListener("htmx:finally:swap", (event) => {
    if ((event as CustomEvent<{ ctx: HtmxContext }>).detail.ctx.visit?.done) document.dispatchEvent(new Event(refreshed));
    current = undefined;
  });
}

/** Makes a request of htmx's, and tells whether its answer came into the page. */
export async function visit(verb: string, address: string, visit: Visit, options: { [name: string]: unknown }): Promise<boolean> {
  await (htmx.ajax as (verb: string, path: string, options: object) => Promise<void>)(verb, address, { ...options, visit });
  return visit.done;
}

/** Turns an element into another of its kind, keeping what the reader did to it. */
export function morph(old: Element, fresh: Element): void {
  const fragment = document.createDocumentFragment();
  fragment.append(document.importNode(fresh, true));
  api?.morph(old, fragment, false);
}

/** The rows of jobs in a page or element, by the job. */
export function rows(root: ParentNode): Map<string, HTMLTableRowElement> {
  const found = new Map<string, HTMLTableRowElement>();
  for (const row of root.querySelectorAll<HTMLTableRowElement>("tr[data-job]")) found.set(row.dataset["job"] ?? "", row);
  return found;
}

/** The selector of the lists whose rows are updated in place. */
export const liveRows = rowsOf;

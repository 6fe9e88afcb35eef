import { isField, make } from "./dom";
import { refreshed } from "./page";
import { plural, text } from "./text";

/**
 * Lists of jobs under the hands of who works with them: the box in a table's head
 * selects the page, shift a range, j and k go through rows, x selects, X up to
 * here, and what acts on many (inside `[data-bulk]`) is there while something is
 * selected. One of these serves all tables of the page that have such rows.
 */
export class List extends HTMLElement {
  private anchor: HTMLTableRowElement | undefined;
  private at: HTMLTableRowElement | undefined;

  connectedCallback(): void {
    document.addEventListener("click", this.clicked);
    document.addEventListener("change", this.count);
    document.addEventListener("focusin", this.focused);
    document.addEventListener("keydown", this.typed);
    document.addEventListener(refreshed, this.refresh);
    addEventListener("pageshow", this.count); // browsers restore what was checked
    this.refresh();
  }

  disconnectedCallback(): void {
    document.removeEventListener("click", this.clicked);
    document.removeEventListener("change", this.count);
    document.removeEventListener("focusin", this.focused);
    document.removeEventListener("keydown", this.typed);
    document.removeEventListener(refreshed, this.refresh);
    removeEventListener("pageshow", this.count);
  }

  private rows(root: ParentNode = document): HTMLTableRowElement[] {
    return [...root.querySelectorAll<HTMLTableRowElement>("tbody tr[data-job]")].filter((row) => this.box(row));
  }

  private box(row: HTMLTableRowElement | undefined): HTMLInputElement | undefined {
    return row?.querySelector<HTMLInputElement>("input[type=checkbox]") ?? undefined;
  }

  /** Heads get their boxes from here: without scripts such a box does nothing. */
  private readonly refresh = (): void => {
    for (const cell of document.querySelectorAll("thead th.c-pick")) {
      if (!cell.querySelector("input") && this.rows(cell.closest("table")!).length > 0) {
        cell.append(make("input", { type: "checkbox", "data-js-all": true, "aria-label": text("js.selectpage") }));
      }
    }
    this.at?.classList.add("current");
    this.count();
  };

  private readonly clicked = (event: MouseEvent): void => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    const table = box.closest("table");
    if (table && box.closest("thead")) {
      for (const row of this.rows(table)) this.set(row, box.checked);
      this.count();
      return;
    }
    const row = box.closest<HTMLTableRowElement>("tr[data-job]");
    if (!row) return;
    if (event.shiftKey) this.range(row, box.checked);
    this.anchor = row;
  };

  private set(row: HTMLTableRowElement, checked: boolean): void {
    const box = this.box(row);
    if (box && !box.disabled) box.checked = checked;
  }

  private range(to: HTMLTableRowElement, checked: boolean): void {
    const rows = this.rows();
    const ends = [rows.indexOf(this.anchor ?? to), rows.indexOf(to)].sort((a, b) => a - b);
    for (const row of rows.slice(Math.max(ends[0]!, 0), ends[1]! + 1)) this.set(row, checked);
  }

  /** Shows how many are selected; a page that is selected whole may offer all that match. */
  private readonly count = (): void => {
    const rows = this.rows();
    const checked = (row: HTMLTableRowElement) => this.box(row)!.checked;
    const n = rows.filter(checked).length;
    for (const head of document.querySelectorAll<HTMLInputElement>("thead .c-pick input")) {
      const own = this.rows(head.closest("table")!);
      const some = own.filter(checked).length;
      head.checked = some > 0 && some === own.length;
      head.indeterminate = some > 0 && some < own.length;
    }
    for (const part of document.querySelectorAll<HTMLElement>("[data-bulk] > :not([data-live-new])")) {
      part.hidden = n === 0 || (part.hasAttribute("data-bulk-all") && n < rows.length);
    }
    for (const place of document.querySelectorAll("[data-bulk-count]")) {
      const words = plural("js.selected", n);
      if (place.textContent !== words) place.textContent = words;
    }
  };

  private readonly focused = (event: FocusEvent): void => {
    const row = (event.target as Element).closest<HTMLTableRowElement>("tr[data-job]");
    if (row && this.box(row)) this.go(row);
  };

  private go(row: HTMLTableRowElement): void {
    if (row === this.at) return;
    this.at?.classList.remove("current");
    row.classList.add("current");
    this.at = row;
  }

  private readonly typed = (event: KeyboardEvent): void => {
    if (!keysWork(event)) return;
    switch (event.key) {
      case "j":
        this.step(1);
        break;
      case "k":
        this.step(-1);
        break;
      case "x":
        this.select(false);
        break;
      case "X":
        this.select(true);
        break;
      default:
        return;
    }
    event.preventDefault();
  };

  private step(by: number): void {
    const rows = this.rows();
    const from = this.at?.isConnected ? rows.indexOf(this.at) : by > 0 ? -1 : rows.length;
    const row = rows[Math.min(Math.max(from + by, 0), rows.length - 1)];
    if (!row) return;
    const link = row.querySelector<HTMLElement>("a[data-open], a[href]") ?? this.box(row);
    link?.focus({ preventScroll: true }); // Enter opens what has the focus
    row.scrollIntoView({ block: "nearest" });
    this.go(row);
  }

  private select(range: boolean): void {
    const box = this.box(this.at);
    if (!box || !this.at) return;
    const checked = range || !box.checked;
    if (range) this.range(this.at, checked);
    else this.set(this.at, checked);
    this.anchor = this.at;
    this.count();
  }
}

/** Reports whether a key is meant for the page: no field has it, no dialog is open, the reader did not turn keys off. */
export function keysWork(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  if (document.documentElement.dataset["keys"] === "off") return false;
  return !isField(document.activeElement) && !document.querySelector("dialog[open]");
}

import { remember, remembered } from "./dom";
import { refreshed } from "./page";
import { language, number } from "./text";

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600], ["month", 2_629_800], ["week", 604_800], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1],
];

/** How far a moment is from now, in the largest unit of which there is a whole one. */
export function relative(at: number, now: number, lang: string): string {
  const seconds = (at - now) / 1000;
  const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(lang, { numeric: "auto", style: "short" }).format(Math.trunc(seconds / size), unit);
}

/** How long something takes so far, in two units at most. */
export function elapsed(seconds: number): string {
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${two((seconds / 60) % 60)} min`;
  return `${number(Math.floor(seconds / 86_400))} d ${Math.floor(seconds / 3600) % 24} h`;
}

/** `[data-since]` is the beginning of what goes on. */
function count(): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-since]")) {
    const seconds = (Date.now() - Date.parse(place.dataset["since"] ?? "")) / 1000;
    if (seconds >= 0) place.textContent = elapsed(seconds);
  }
}

/** `<time data-rel datetime>` says how long ago it was; the time itself is in `data-clock`, else the server's text. */
function tell(): void {
  const absolute = document.documentElement.classList.contains("times-absolute");
  const now = Date.now();
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-rel]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    if (time.dataset["jsOf"] !== time.dateTime) {
      time.dataset["jsOf"] = time.dateTime;
      time.dataset["jsText"] = time.textContent ?? "";
    }
    const words = absolute ? time.dataset["clock"] ?? time.dataset["jsText"] ?? "" : relative(at, now, language());
    if (time.textContent !== words) time.textContent = words;
  }
}

/** Changes between how long ago and when. */
export function toggleTimes(): void {
  remember("times", document.documentElement.classList.toggle("times-absolute") ? "absolute" : "");
  tell();
}

/** Keeps relative times true. */
export function keepTimes(): void {
  if (remembered("times") === "absolute") document.documentElement.classList.add("times-absolute");
  document.addEventListener(refreshed, tell);
  setInterval(tell, 30_000);
  setInterval(() => !document.hidden && count(), 1000);
  tell();
}

import { remember, remembered } from "./dom";
import { refreshed } from "./page";
import { language } from "./text";

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600], ["month", 2_629_800], ["week", 604_800], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1],
];

/** How far a moment is from now, in the largest unit of which there is a whole one. */
export function relative(at: number, now: number, lang: string): string {
  const seconds = (at - now) / 1000;
  const [unit, size] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(lang, { numeric: "auto", style: "short" }).format(Math.trunc(seconds / size), unit);
}

/** `<time data-rel datetime>` says how long ago it was; the server's text is the time itself. */
function tell(): void {
  const absolute = document.documentElement.classList.contains("times-absolute");
  const now = Date.now();
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-rel]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const key = `${time.dateTime} ${document.documentElement.dataset["zone"] ?? ""}`;
    if (time.dataset["jsOf"] !== key) {
      time.dataset["jsOf"] = key;
      time.dataset["jsText"] = time.textContent ?? "";
    }
    const words = absolute ? time.dataset["jsText"] ?? "" : relative(at, now, language());
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
  tell();
}

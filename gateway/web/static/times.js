// Times in the zone of the browser, written as its language does; the page has them in UTC, which
// stays in the title. Without this script they are as they are.
"use strict";

const spoken = document.documentElement.lang;
const own = navigator.languages.find((one) => one === spoken || one.startsWith(`${spoken}-`));
const format = new Intl.DateTimeFormat(own ?? (spoken === "en" ? "en-GB" : spoken), {
  dateStyle: "long",
  timeStyle: "short",
});

// In a column under a day (of UTC) the time alone is enough, unless it is another day here.
const language = own ?? (spoken === "en" ? "en-GB" : spoken);
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const otherDay = new Intl.DateTimeFormat(language, {
  day: "numeric",
  month: "short",
  hour: "numeric",
  minute: "2-digit",
});
const sameDay = (at) => at.getDate() === at.getUTCDate();

document.querySelectorAll("time[datetime]").forEach((time) => {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  time.title = time.textContent.trim();
  const short = sameDay(at) ? clock : otherDay;
  time.textContent = (time.closest(".log-when") ? short : format).format(at);
});

const zone = new Intl.DateTimeFormat(language, { timeZoneName: "short" })
  .formatToParts(new Date())
  .find((part) => part.type === "timeZoneName");
document.querySelectorAll("[data-zone]").forEach((head) => (head.textContent = zone.value));

// Times in the zone of the browser, written as its language does; the page has them in UTC, which
// stays in the title. Without this script they are as they are.
"use strict";

const spoken = document.documentElement.lang;
const own = navigator.languages.find((one) => one === spoken || one.startsWith(`${spoken}-`));
const format = new Intl.DateTimeFormat(own ?? (spoken === "en" ? "en-GB" : spoken), {
  dateStyle: "long",
  timeStyle: "short",
});

document.querySelectorAll("time[datetime]").forEach((time) => {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  // Under the heading of a day, which is in UTC.
  if (time.closest(".log-when")) {
    time.title = format.format(at);
    return;
  }
  time.title = time.textContent.trim();
  time.textContent = format.format(at);
});

// How long something still waits, counted down; the page has the time of its end, and says so
// without this script. What waits no longer cannot be sent.
"use strict";

document.querySelectorAll("[data-seconds]").forEach((timer) => {
  const end = performance.now() + 1000 * Number(timer.dataset.seconds);
  timer.title = timer.textContent.trim();
  const show = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    if (left) {
      timer.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      return;
    }
    clearInterval(ticks);
    timer.textContent = timer.dataset.over;
  };
  const ticks = setInterval(show, 500);
  show();
});

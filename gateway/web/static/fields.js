// Shows what is typed into a password field, and copies what a button names. Without this script
// the buttons are not there. All sentences shown come from the page.
"use strict";

document.querySelectorAll("[data-shows]").forEach((button) => {
  const field = document.getElementById(button.dataset.shows);
  const show = (yes) => {
    field.type = yes ? "text" : "password";
    button.setAttribute("aria-pressed", String(yes));
  };
  button.addEventListener("click", () => show(field.type === "password"));
  // Else the browser would keep it among what was typed into fields of text.
  field.form.addEventListener("submit", () => show(false));
  button.hidden = false;
});

document.querySelectorAll("[data-copies]").forEach((button) => {
  const source = document.getElementById(button.dataset.copies);
  const says = document.getElementById(button.getAttribute("aria-describedby"));
  button.addEventListener("click", async () => {
    says.textContent = "";
    try {
      await navigator.clipboard.writeText(source.textContent.replace(/\s/g, ""));
      says.textContent = says.dataset.copied;
    } catch {
      // Not on https or localhost, or not allowed: the selection can be copied by hand.
      getSelection().selectAllChildren(source);
      says.textContent = says.dataset.failed;
    }
  });
  button.hidden = false;
});

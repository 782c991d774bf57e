// What is too small, too wide, cut off or one over another, in every page at once: the text of each
// replaces the body, so that Chromium loads nothing but the style sheet.
(pages) => {
  const shown = (e) => e.getClientRects().length > 0 && !e.closest(".skip");
  const words = (e) => (e.getAttribute("aria-label") || e.innerText || e.name || "").trim();
  const called = (e) => `${e.tagName.toLowerCase()} “${words(e).slice(0, 40)}”`;
  const inSentence = (e) =>
    getComputedStyle(e).display === "inline" &&
    [...e.parentElement.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
  const over = (a, b) => [
    Math.min(a.right, b.right) - Math.max(a.left, b.left),
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
  ];

  function* small() {
    for (const e of document.querySelectorAll("input, select, textarea")) {
      if (!shown(e) || ["hidden", "checkbox", "radio"].includes(e.type)) continue;
      const size = parseFloat(getComputedStyle(e).fontSize);
      if (size < 16) yield `letters of ${size} px in ${called(e)}`;
    }
    for (const e of document.querySelectorAll("a[href], button, summary, input, select")) {
      if (!shown(e) || inSentence(e)) continue;
      // A tick is touched by its words, too.
      const parts = [e, ...(["checkbox", "radio"].includes(e.type) ? e.labels : [])];
      const boxes = parts.map((one) => one.getBoundingClientRect());
      const side = (from, to) =>
        Math.max(...boxes.map((b) => b[to])) - Math.min(...boxes.map((b) => b[from]));
      const [width, height] = [side("left", "right"), side("top", "bottom")];
      if (Math.min(width, height) < 43.9)
        yield `${Math.round(width)}×${Math.round(height)} to touch: ${called(e)}`;
    }
  }

  function lines() {
    const found = [];
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (all.nextNode()) {
      const [text, holder] = [all.currentNode.textContent.trim(), all.currentNode.parentElement];
      // Heads of tables that became lists are there for screen readers; a wide table scrolls.
      if (!text || !shown(holder) || holder.closest("select, thead, .scrolls")) continue;
      const range = document.createRange();
      range.selectNodeContents(all.currentNode);
      for (const box of range.getClientRects())
        if (box.width) found.push({ text: text.slice(0, 40), holder, box });
    }
    return found.sort((one, other) => one.box.top - other.box.top);
  }

  function* misplaced() {
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) yield `${wide} px too wide`;
    const said = lines();
    const controls = [...document.querySelectorAll("a.button, button, input, select")]
      .filter(shown)
      .map((e) => ({ e, box: e.getBoundingClientRect() }));
    for (const [at, one] of said.entries()) {
      const holder = one.holder.closest(".card, .note, main, header, footer");
      if (holder) {
        const [box, style] = [holder.getBoundingClientRect(), getComputedStyle(holder)];
        const right = one.box.right - (box.right - parseFloat(style.paddingRight));
        const left = box.left + parseFloat(style.paddingLeft) - one.box.left;
        if (Math.max(right, left) > 1) yield `beside its box: “${one.text}”`;
      }
      for (let next = at + 1; next < said.length; next++) {
        const other = said[next];
        if (other.box.top > one.box.bottom) break;
        const [width, height] = over(one.box, other.box);
        if (width > 2 && height > 4) yield `“${one.text}” over “${other.text}”`;
      }
      for (const control of controls) {
        const [width, height] = over(one.box, control.box);
        if (width > 2 && height > 3 && !control.e.contains(one.holder))
          yield `${called(control.e)} over “${one.text}”`;
      }
    }
    for (const [at, one] of controls.entries())
      for (const other of controls.slice(at + 1))
        if (Math.min(...over(one.box, other.box)) > 1)
          yield `${called(one.e)} over ${called(other.e)}`;
    for (const e of document.querySelectorAll("body *")) {
      const cut = getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
      if (cut && shown(e) && !e.matches("input, pre, thead, .scrolls")) yield `cut: ${called(e)}`;
    }
  }

  const found = {};
  for (const [name, html] of Object.entries(pages)) {
    const page = new DOMParser().parseFromString(html, "text/html");
    document.documentElement.lang = page.documentElement.lang;
    document.body.replaceWith(document.adoptNode(page.body));
    // As with scripts, and with all that is said in some state or other.
    document.querySelectorAll("details").forEach((e) => (e.open = true));
    document.querySelectorAll("[hidden]").forEach((e) => (e.hidden = false));
    const said = new Set([...(innerWidth < 500 ? small() : []), ...misplaced()]);
    if (said.size) found[name] = [...said];
  }
  return found;
};

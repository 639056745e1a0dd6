// What is wrong with a page as it is laid out now, as a list of sentences. `paper`: whether it is looked at as printed.
(paper) => {
  const found = new Set();
  const seen = (e) => e.checkVisibility({ checkOpacity: false, visibilityProperty: true, contentVisibilityAuto: true });
  const parse = (c) => { const n = (c.match(/[\d.]+/g) || []).map(Number); return n.length === 4 && n[3] === 0 ? null : n.slice(0, 3); };
  const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => { const [r, g, b] = c.map((v) => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
  const page = parse(getComputedStyle(document.body).backgroundColor) || [255, 255, 255];
  const under = (e) => {
    for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; }
    return page;
  };
  const name = (e) => `${e.closest("section")?.id || "page"}: ${e.tagName} ${(e.textContent || "").trim().slice(0, 40)}`;
  const width = document.documentElement.clientWidth;

  if (document.documentElement.scrollWidth > width) found.add(`the page scrolls sideways: ${document.documentElement.scrollWidth}`);

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest("script, style, caption, .skip") || !seen(e)) continue;
    const style = getComputedStyle(e);
    const drawn = e.closest("svg");
    const ink = parse(drawn ? style.fill : style.color);
    if (ink && ratio(ink, under(drawn ? drawn.parentElement : e)) < 4.5) found.add(`too little contrast: ${name(e)}`);
    if (drawn) {
      const box = drawn.getBoundingClientRect(), size = parseFloat(style.fontSize) * box.width / drawn.viewBox.baseVal.width;
      if (size < (paper ? 11 : 11.9)) found.add(`text of ${size.toFixed(1)} px in a chart: ${name(e)}`);
      const at = e.getBoundingClientRect();
      if (at.left < -1 || at.right > width + 1) found.add(`cut at the edge: ${name(e)} ${at.left.toFixed(0)} ${at.right.toFixed(0)}`);
    }
  }

  for (const e of document.querySelectorAll("svg path, svg circle, svg line")) {
    if (!seen(e) || e.closest("clipPath")) continue;
    const style = getComputedStyle(e);
    if ([e.getAttribute("stroke"), e.getAttribute("fill")].includes("var(--grid)")) continue;
    for (const [color, opacity] of [[style.fill, style.fillOpacity], [style.stroke, style.strokeOpacity]]) {
      const ink = color !== "none" && Number(opacity) === 1 && Number(style.opacity) === 1 ? parse(color) : null;
      if (ink && ratio(ink, under(e.closest("svg").parentElement)) < 3) found.add(`a mark of too little contrast: ${name(e)} ${color}`);
    }
  }

  for (const e of document.querySelectorAll("a[href], button, summary, input, textarea")) {
    if (!seen(e) || e.closest(".skip") || paper) continue;
    const box = e.getBoundingClientRect();
    if (Math.min(box.width, box.height) < 23.9) found.add(`a target of ${box.width.toFixed(0)} x ${box.height.toFixed(0)}: ${name(e)}`);
  }

  for (const e of document.querySelectorAll("main *")) {
    if (e.closest("svg, caption, .scroll") && !(paper && e.closest(".scroll"))) continue;
    if (e.tagName === "CAPTION" || !seen(e)) continue;
    const box = e.getBoundingClientRect();
    if (box.width && box.right > width + 1) found.add(`out of the page: ${name(e)} ${box.right.toFixed(0)}`);
    const hides = ["hidden", "clip", "auto", "scroll"].includes(getComputedStyle(e).overflowX);
    if (paper && hides && e.scrollWidth > e.clientWidth + 1) found.add(`cut on paper: ${name(e)}`);
  }
  if (paper) {
    for (const e of document.querySelectorAll("details > :not(summary, [hidden])")) if (!seen(e)) found.add(`closed on paper: ${name(e)}`);
  }
  for (const e of document.querySelectorAll("[role=img]")) {
    if ((e.ariaLabel || "").length < 40) found.add(`a chart without a description: ${e.id}`);
  }
  return [...found].slice(0, 400);
}

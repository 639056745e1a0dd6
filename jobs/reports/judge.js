"use strict";
(() => {
  const place = document.getElementById("judgements");
  if (!place) return;
  const FALSE = "false negative";
  const key = `eci-judgements-${place.dataset.run}`;
  const articles = [...place.querySelectorAll("article")];
  const pair = (article) => `${article.dataset.query} ${article.dataset.negative}`;
  const known = new Set(articles.map(pair));

  // A page opened from a file may have no storage: marks are then kept until it is closed.
  const kept = () => {
    try {
      const found = Object.entries(JSON.parse(localStorage.getItem(key)) || {});
      return found.filter(([name, mark]) => known.has(name) && (mark === FALSE || mark === "fine"));
    } catch {
      return [];
    }
  };
  const marks = new Map(kept());
  const keep = () => {
    try {
      localStorage.setItem(key, JSON.stringify(Object.fromEntries(marks)));
    } catch { /* memory has them */ }
  };

  // Wilson's interval of a share: 1.959964 standard normal deviations.
  const wilson = (hits, n) => {
    const z = 1.959964, p = hits / n, scale = 1 + z * z / n;
    const middle = (p + z * z / (2 * n)) / scale;
    const half = z / scale * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  };
  const percent = (share) => `${(100 * share).toFixed(0)} %`;

  const result = (source) => {
    const found = [...source.querySelectorAll("article")].map((article) => marks.get(pair(article))).filter(Boolean);
    const n = found.length, hits = found.filter((mark) => mark === FALSE).length;
    if (!n) return "None of these is marked.";
    const [low, high] = wilson(hits, n);
    const rate = Number(source.dataset.rate);
    return `${hits} of ${n} marked are false negatives: ${percent(hits / n)} of its violations ` +
      `(95 % interval ${percent(low)} to ${percent(high)}), so ${percent(rate * hits / n)} of all its triples ` +
      `(${percent(rate * low)} to ${percent(rate * high)}).`;
  };

  const exported = () => {
    const sources = new Map(articles.map((article) => [pair(article), article.closest("details").dataset.source]));
    const judgements = [...marks].map(([name, judgement]) => {
      const [query_id, negative_id] = name.split(" ");
      return { query_id, negative_id, judgement, source: sources.get(name) };
    });
    return JSON.stringify({ format: place.dataset.format, run_id: place.dataset.run, judgements }, null, 1);
  };

  const show = () => {
    for (const article of articles) {
      const mark = marks.get(pair(article));
      for (const button of article.querySelectorAll("[data-mark]")) {
        button.setAttribute("aria-pressed", String(button.dataset.mark === mark));
      }
      article.dataset.marked = mark || "";
    }
    for (const source of place.querySelectorAll("details.source")) source.querySelector(".result").textContent = result(source);
    document.getElementById("marks").value = exported();
    place.querySelector(".exported").textContent = `${marks.size} mark${marks.size === 1 ? "" : "s"}.`;
  };

  const set = (article, mark) => {
    if (mark && marks.get(pair(article)) !== mark) marks.set(pair(article), mark);
    else marks.delete(pair(article));
    keep();
    show();
  };

  const go = (article, step) => {
    const near = [...article.closest("details").querySelectorAll("article")];
    const to = near[near.indexOf(article) + step];
    if (to) {
      to.focus();
      to.scrollIntoView({ block: "nearest" });
    }
  };

  const keys = { f: FALSE, g: "fine" };
  place.addEventListener("keydown", (event) => {
    const article = event.target.closest("article");
    if (!article || event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.key.toLowerCase();
    if (keys[pressed]) {
      if (marks.get(pair(article)) !== keys[pressed]) set(article, keys[pressed]);
      go(article, 1);
    } else if (pressed === "u") set(article, "");
    else if (pressed === "j" || event.key === "ArrowDown") go(article, 1);
    else if (pressed === "k" || event.key === "ArrowUp") go(article, -1);
    else return;
    event.preventDefault();
  });
  place.addEventListener("click", (event) => {
    const button = event.target.closest("[data-mark]");
    if (button) set(button.closest("article"), button.dataset.mark);
  });
  place.querySelector(".export").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
    link.download = `judgements-${place.dataset.run}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  place.querySelector(".forget").addEventListener("click", () => {
    marks.clear();
    keep();
    show();
  });

  for (const article of articles) article.tabIndex = 0;
  for (const part of place.querySelectorAll(".marking, .judging")) part.hidden = false;
  show();
})();

"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("specs").textContent);
  const clone = (value) => JSON.parse(JSON.stringify(value));

  // Colours come from the style sheet. Names of sources are left alone, whatever they are.
  const named = new Set(["data", "datasets", "domain", "sort"]);
  const painted = (node, style) => {
    if (Array.isArray(node)) return node.map((item) => painted(item, style));
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, value]) =>
        [key, named.has(key) ? value : painted(value, style)]));
    }
    const found = typeof node === "string" && /^var\((--\w+)\)$/.exec(node);
    return found ? style.getPropertyValue(found[1]).trim() : node;
  };

  const config = (style, narrow) => {
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
    const axis = { labelColor: color("ink"), titleColor: color("muted"), gridColor: color("grid"), gridOpacity: 0.6,
      domainColor: color("grid"), tickColor: color("grid"), labelFontSize: 11, titleFontSize: 12, titleFontWeight: 400, titlePadding: 8 };
    return { background: null, font, view: { stroke: null }, axis,
      legend: { labelColor: color("ink"), titleColor: color("muted"), labelFontSize: 12, ...(narrow ? { columns: 1 } : {}) },
      header: { labelColor: color("ink") }, facet: { spacing: { row: 18, column: 22 } } };
  };

  const labelled = (node, limit) => {
    if (Array.isArray(node)) node.forEach((item) => labelled(item, limit));
    else if (node && typeof node === "object") {
      for (const [key, value] of Object.entries(node)) {
        if (named.has(key)) continue;
        if (key === "labelLimit" && value < 200) node[key] = Math.min(value, limit);
        if (key === "legend" && value && limit < 120 && value.columns) value.columns = 1;
        labelled(value, limit);
      }
    }
  };

  const sized = (spec, fit, width) => {
    const narrow = width < 520;
    if (narrow) labelled(spec, 119);
    if (fit === "width") {
      spec.width = Math.max(200, width);
      spec.autosize = { type: "fit-x", contains: "padding" };
    } else if (fit === "facet") {
      const columns = width > 900 ? 3 : width > 520 ? 2 : 1;
      spec.columns = columns;
      const axis = JSON.stringify(spec).includes('"type":"log"') ? 50 : 8;
      spec.spec.width = Math.floor((width - 22 * (columns - 1) - 12 - axis) / columns);
    }
    if (fit === "square" && narrow) spec.width.step = spec.height.step = 30;
    for (const param of spec.params || []) if (param.name === "compact") param.value = narrow;
    return spec;
  };

  const draw = async () => {
    const style = getComputedStyle(document.documentElement);
    for (const [name, { fit, spec }] of Object.entries(charts)) {
      const place = document.getElementById(`chart-${name}`);
      if (!place) continue;
      const width = place.parentElement.clientWidth;
      const ready = sized(painted(clone(spec), style), fit, width);
      try {
        await vegaEmbed(place, ready, {
          // The page's policy lets neither code be made of strings nor styles be added: expressions are interpreted, and
          // the styles that vega-embed and its tooltips would add are in page.css.
          ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true },
          actions: false, renderer: "svg", logLevel: 1, config: config(style, width < 520),
        });
        // The figure has one description; the marks inside would be read one by one.
        place.querySelector("svg").setAttribute("aria-hidden", "true");
      } catch (error) {
        place.textContent = "This chart could not be drawn; its numbers are in the tables.";
        console.error(`chart ${name}:`, error);
      }
    }
    document.documentElement.dataset.drawn = "true";
  };

  let last = 0;
  let waiting = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width === last) return;
    clearTimeout(waiting);
    waiting = setTimeout(draw, last ? 200 : 0);
    last = contentRect.width;
  }).observe(document.getElementById("answer"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => {
      getSelection().selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (table.tBodies[0].rows[0]?.cells[column].classList.contains("n")) head.classList.add("n");
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.sort;
        const rows = [...table.tBodies[0].rows].sort((a, b) => key(a) !== undefined && key(b) !== undefined
          ? Number(key(a)) - Number(key(b))
          : a.cells[column].textContent.localeCompare(b.cells[column].textContent));
        table.tBodies[0].append(...(down ? rows.reverse() : rows));
      });
    });
  }
})();

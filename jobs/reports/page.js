"use strict";
(() => {
  const copied = async (text, element) => {
    getSelection().selectAllChildren(element);
    try {
      await navigator.clipboard.writeText(text);
      return "Copied";
    } catch {
      return document.execCommand("copy") ? "Copied" : "Selected";
    }
  };

  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => { button.textContent = await copied(code.textContent, code); });
  }

  // What a mark of a chart says, where the pointer is.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest?.("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const left = Math.min(event.pageX + 14, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${event.pageY + 14}px`;
  });

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
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

  // A cell as CSV: a name whole, a number with all its digits, and no text that a spreadsheet would take for a formula.
  const plain = (cell) => {
    const sort = cell.dataset.sort;
    if (sort !== undefined) return Number(sort) < -1e307 || Number(sort) === 1e9 ? "" : sort;
    const text = (cell.querySelector("bdi")?.title || cell.textContent).trim();
    return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  };
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const csv = (tables) => {
    const lines = new Map();
    const heads = [];
    for (const table of tables) {
      const key = table.querySelector("thead .key").cellIndex;
      const columns = [...table.tHead.rows[0].cells].filter((head) => table === tables[0] || head.cellIndex !== key);
      heads.push(...columns.map((head) => head.textContent));
      for (const row of table.tBodies[0].rows) {
        // Of pairs the first column is no key: their only table keeps every row.
        const name = tables.length === 1 ? row.rowIndex : plain(row.cells[key]);
        lines.set(name, [...(lines.get(name) || []), ...columns.map((head) => plain(row.cells[head.cellIndex]))]);
      }
    }
    return [heads, ...lines.values()].map((line) => line.map(quoted).join(",")).join("\n");
  };

  for (const tools of document.querySelectorAll(".tools")) {
    const own = tools.nextElementSibling.querySelector("table");
    const others = tools.closest("section").id === "ranking" ? [...tools.closest("section").querySelectorAll("details table")] : [];
    const status = tools.querySelector("[role=status]");
    tools.hidden = false;
    tools.querySelector("input").addEventListener("input", (event) => {
      const wanted = event.target.value.toLowerCase();
      let shown = 0;
      for (const table of [own, ...others]) {
        for (const row of table.tBodies[0].rows) {
          const text = [...row.cells].map((cell) => cell.querySelector("bdi")?.title || cell.textContent).join(" ");
          row.hidden = !text.toLowerCase().includes(wanted);
          if (table === own) shown += !row.hidden;
        }
      }
      status.textContent = wanted ? `${shown} of ${own.tBodies[0].rows.length} rows` : "";
    });
    tools.querySelector(".csv").addEventListener("click", async () => {
      const area = document.createElement("pre");
      area.textContent = csv([own, ...others]);
      tools.append(area);
      status.textContent = await copied(area.textContent, area);
      area.remove();
    });
  }

  // On paper everything is open.
  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      closed.add(details);
      details.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
    closed.clear();
  });
  document.documentElement.dataset.ready = "true";
})();

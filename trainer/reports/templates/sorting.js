'use strict';
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    return 'sort' in cell.dataset ? (cell.dataset.sort === '' ? null : Number(cell.dataset.sort)) : cell.textContent.trim();
  };
  const compare = (a, b) => typeof a === 'number' ? a - b : a.localeCompare(b, 'en', { numeric: true });
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => {
    const direction = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', direction === 1 ? 'ascending' : 'descending');
    const rows = [...body.rows].map(row => [key(row, column), row]);
    // What is not known stays last in both directions.
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }));
}

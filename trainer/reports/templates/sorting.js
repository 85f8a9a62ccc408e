'use strict';
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    return 'sort' in cell.dataset ? (cell.dataset.sort === '' ? null : Number(cell.dataset.sort)) : cell.textContent.trim();
  };
  const compare = (a, b) => typeof a === 'number' ? a - b : a.localeCompare(b, 'en', { numeric: true });
  const sort = () => {
    const column = heads.findIndex(head => head.hasAttribute('aria-sort'));
    if (column < 0) return;
    const direction = heads[column].getAttribute('aria-sort') === 'ascending' ? 1 : -1;
    const rows = [...body.rows].map(row => [key(row, column), row]);
    // What is not known stays last in both directions.
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  };
  for (const head of heads) head.querySelector('button').addEventListener('click', () => {
    const order = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending';
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', order);
    sort();
  });
  table.addEventListener('rowschanged', sort);
}
